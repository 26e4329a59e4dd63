"""The truth of a gallery is known for Picturebook with unchanged captions, and not otherwise."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from analysis.ground_truth import truth_of
from itr_core.gallery import Gallery
from itr_core.pairs import PairSet, load_pairs


@pytest.fixture(scope="module")
def pairs() -> PairSet:
    return load_pairs("picturebook:val@12")


def gallery(pairs: PairSet, *, source: str | None = None, **changes: Any) -> Gallery:
    """Return the parts of a gallery that `truth_of` reads."""
    items = pd.DataFrame({"image_id": pairs.image_ids, "captions": pairs.captions} | changes)
    manifest = SimpleNamespace(source=source or pairs.source)
    return cast(Gallery, SimpleNamespace(manifest=manifest, items=items))


def test_the_truth_is_that_of_the_source_in_the_order_of_the_gallery(pairs: PairSet) -> None:
    some = pairs.select([7, 2, 11])
    truth = truth_of(gallery(some))
    assert truth is not None
    assert some.relevance is not None
    assert np.array_equal(truth.matrix(), some.relevance.matrix())
    assert np.array_equal(truth.grade(), some.relevance.grade())


@pytest.mark.parametrize("source", ["picturebook", "picturebook:val", "picturebook:val@12"])
def test_every_spec_of_picturebook_is_recognised(pairs: PairSet, source: str) -> None:
    assert truth_of(gallery(pairs, source=source)) is not None


def test_other_sources_and_changed_captions_have_no_known_truth(pairs: PairSet) -> None:
    assert truth_of(gallery(pairs, source="folder:picturebook")) is None
    assert truth_of(gallery(pairs, captions=[["a dog"] * 5, *pairs.captions[1:]])) is None
    assert truth_of(gallery(pairs, image_id=["val.png", *pairs.image_ids[1:]])) is None
