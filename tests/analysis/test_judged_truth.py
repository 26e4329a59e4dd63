"""The truth that people judged, against the judgments of the eccv_caption package."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from analysis.judged_truth import JudgedTruth, judged_truth
from analysis.query_truth import judge
from itr_core.evaluation.human_judgments import read_expert_grades
from itr_core.gallery import Gallery
from tests.support import present

SOURCE = "karpathy:dataset_coco.json:test"


@pytest.fixture(scope="module")
def eccv() -> Any:
    return pytest.importorskip("eccv_caption", reason="eccv_caption is in the extras dev and eccv").Metrics()


@pytest.fixture(scope="module")
def images(eccv: Any) -> list[int]:
    """Return some images that ECCV Caption judged, with those that it found for their captions."""
    some = sorted(eccv.eccv_gts["i2t"])[:20]
    captions = [caption for image in some for caption in eccv.coco_gts["i2t"][image]]
    found = {image for caption in captions for image in eccv.eccv_gts["t2i"].get(caption, [])}
    return sorted({*some, *found})


def gallery(images: list[Any], source: str = SOURCE) -> Gallery:
    """Return the parts of a gallery that are read: caption 3 of image 42 is "42 3"."""
    captions = [[f"{image} {number}" for number in range(5)] for image in images]
    items = pd.DataFrame({"image_id": list(map(str, images)), "captions": captions})
    manifest = SimpleNamespace(source=source)

    class Parts(SimpleNamespace):
        def __len__(self) -> int:
            return len(images)

    return cast(Gallery, Parts(items=items, manifest=manifest))


@pytest.fixture(scope="module")
def truth(images: list[int]) -> JudgedTruth:
    return present(judged_truth(gallery(images)))


def test_a_caption_is_true_of_the_images_that_people_judged(
    eccv: Any, images: list[int], truth: JudgedTruth
) -> None:
    titles = set()
    for image in images:
        for number, caption in enumerate(sorted(eccv.coco_gts["i2t"][image])[:5]):
            in_eccv = caption in eccv.eccv_gts["t2i"]
            judged = (eccv.eccv_gts if in_eccv else eccv.cxc_gts)["t2i"].get(caption, [])
            expected = {each for each in judged if each in images}
            found = truth.of_query(f"{image}  {number}.")
            if not expected:
                continue
            found = present(found)
            assert {images[row] for row in range(len(images)) if found.true[row]} == expected
            titles.add(found.origin)
            row = images.index(image)
            assert truth.of_caption(f"{image} {number}", row) == found.of(row)
            wrong = next(row for row in range(len(images)) if images[row] not in expected)
            assert found.of(wrong) == (False, "nobody judged it as right")
    assert titles == {"People judged this (ECCV Caption).", "People judged this (CxC)."}


def test_other_texts_and_pictures_have_no_truth(truth: JudgedTruth) -> None:
    assert truth.of_query("a dog") is None
    assert truth.of_caption("a dog", 0) is None
    assert truth.of_item(0) is None


@pytest.mark.parametrize(
    "other",
    [gallery([42], "folder:photos"), gallery(["a.jpg"]), gallery([42], "karpathy:dataset_flickr8k.json")],
)
def test_other_galleries_have_no_judgments(other: Gallery) -> None:
    assert judged_truth(other) is None


def test_experts_judge_some_pictures_of_a_caption(tmp_path: Path) -> None:
    file = tmp_path / "ExpertAnnotations.txt"
    lines = ["b.jpg\ta.jpg#1\t3\t3\t3", "c.jpg\ta.jpg#1\t1\t2\t4", "other.jpg\ta.jpg#1\t4\t4\t4"]
    file.write_text("\n".join(lines), encoding="utf-8")
    photos = gallery(["a.jpg", "b.jpg", "c.jpg", "d.jpg"], "folder:photos")
    truth = present(judged_truth(photos, read_expert_grades(file)))
    found = present(truth.of_query("A.jpg 1."))
    assert [found.is_right(row) for row in range(4)] == [True, True, False, None]
    assert truth.of_caption("a.jpg 1", 2) == (False, "experts: 2.3 of 4")
    assert truth.of_caption("a.jpg 1", 3) is None
    assert truth.of_query("a.jpg 2") is None
    judged = judge(found, [0], [3, 2, 1, 0], np.zeros(4))
    assert [kind for kind, _ in judged.marks] == ["unknown", "wrong", "right", "own"]
    assert (judged.right, judged.total, judged.known) == (2, 2, 3)


def test_experts_of_other_pictures_are_ignored(tmp_path: Path) -> None:
    file = tmp_path / "ExpertAnnotations.txt"
    file.write_text("a.jpg\ta.jpg#0\t4\t4\t4", encoding="utf-8")
    assert judged_truth(gallery(["x.jpg"], "folder:photos"), read_expert_grades(file)) is None
