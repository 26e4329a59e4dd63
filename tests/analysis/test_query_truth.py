"""Which images a query is true of, in galleries of Picturebook and others."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest

from analysis.query_truth import CaptionOwners, QueryTruth, gallery_truth, judge
from itr_core.gallery import Gallery
from itr_core.picturebook.semantics import Meaning, Variable, entails
from itr_core.picturebook.source import scene_of_id
from tests.support import present

IDS = [f"val-{index:06d}.png" for index in range(60)]
DOGS = Meaning((Variable("dog"),))


def gallery(source: str = "picturebook:val", ids: list[str] = IDS, caption: str = "Two dogs.") -> Gallery:
    """Return the parts of a gallery that are read."""
    captions = [["a house", caption if row % 2 else "a dog"] for row in range(len(ids))]
    items = pd.DataFrame({"image_id": ids, "captions": captions})
    return cast(Gallery, SimpleNamespace(manifest=SimpleNamespace(source=source), items=items))


def test_a_query_is_true_of_the_images_that_its_meaning_is_true_of() -> None:
    truth = present(present(gallery_truth(gallery())).of_query("A dog!"))
    expected = [entails(scene_of_id(image_id), DOGS) for image_id in IDS]
    assert truth.true.tolist() == expected
    assert truth.total == sum(expected) > 0
    assert truth.right([0, 5, 7]) == expected[0] + expected[5] + expected[7]
    for row, true in enumerate(expected):
        assert truth.of(row) == (true, "" if true else "no dog")


def test_a_caption_is_true_or_false_of_one_image() -> None:
    truth = present(gallery_truth(gallery()))
    row = next(row for row, image_id in enumerate(IDS) if entails(scene_of_id(image_id), DOGS))
    assert truth.of_caption("a dog", row) == (True, "")
    assert truth.of_caption("no dogs", row) == (False, "4 dogs, not none")
    assert truth.of_caption("no unicorns", row) is None


def test_what_is_not_understood_has_no_truth() -> None:
    assert present(gallery_truth(gallery())).of_query("a unicorn") is None


@pytest.mark.parametrize("other", [gallery("folder:photos"), gallery(ids=["a.png", "b.png"])])
def test_the_truth_of_other_galleries_is_not_known(other: Gallery) -> None:
    assert gallery_truth(other) is None


def test_galleries_of_the_same_images_share_the_truth() -> None:
    assert gallery_truth(gallery()) is gallery_truth(gallery("picturebook:val@60"))


def test_the_images_of_a_caption_are_found_in_any_case() -> None:
    owners = CaptionOwners(gallery())
    assert owners.rows(" two  DOGS ") == list(range(1, 60, 2))
    assert owners.rows("three dogs") == []


def test_results_are_judged_by_their_own_caption_and_by_the_truth() -> None:
    truth = QueryTruth(
        np.array([True, False, True, False]), lambda row: "" if row in (0, 2) else "no dog", "Seen."
    )
    similarities = np.array([0.2, 0.9, 0.5, 0.5])
    judged = judge(truth, [2], [1, 2, 0], similarities)
    assert judged.marks == (("wrong", "no dog"), ("own", ""), ("right", ""))
    assert (judged.right, judged.total, judged.own_rank) == (2, 2, 2)
    assert judge(truth, [0], [1], similarities).own_rank == 4
    assert judge(truth, [0, 2], [1], similarities).own_rank == 2


def test_without_the_truth_only_the_own_image_is_marked() -> None:
    judged = judge(None, [2], [1, 2], np.array([0.2, 0.9, 0.5]))
    assert judged.marks == (("unknown", ""), ("own", ""))
    assert (judged.right, judged.total, judged.own_rank) == (None, None, 2)
    assert judge(None, [], [1], np.ones(3)).own_rank is None
