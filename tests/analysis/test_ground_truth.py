"""A gallery's truth: there where Picturebook made it and still says the same; else nobody knows."""

from types import SimpleNamespace

import numpy as np
import pytest

from analysis.ground_truth import truth_of
from itr_core.pairs import PairSet, load_pairs


@pytest.fixture(scope="module")
def pairs() -> PairSet:
    return load_pairs("picturebook:val@12")


def gallery(pairs: PairSet, **changes: object) -> SimpleNamespace:
    """What `truth_of` looks at of a gallery."""
    import pandas as pd

    items = {"image_id": pairs.image_ids, "captions": pairs.captions} | changes
    source = items.pop("source", pairs.source)
    return SimpleNamespace(manifest=SimpleNamespace(source=source), items=pd.DataFrame(items))


def test_it_is_that_of_the_source_in_the_gallery_s_order(pairs: PairSet) -> None:
    some = pairs.select([7, 2, 11])
    truth = truth_of(gallery(some))
    assert truth is not None
    assert some.relevance is not None
    assert np.array_equal(truth.matrix(), some.relevance.matrix())
    assert np.array_equal(truth.grade(), some.relevance.grade())


@pytest.mark.parametrize("source", ["picturebook", "picturebook:val", "picturebook:val@12"])
def test_any_way_to_name_picturebook(pairs: PairSet, source: str) -> None:
    assert truth_of(gallery(pairs, source=source)) is not None


def test_there_is_none_elsewhere_or_where_words_have_changed(pairs: PairSet) -> None:
    assert truth_of(gallery(pairs, source="folder:picturebook")) is None
    assert truth_of(gallery(pairs, captions=[["a dog"] * 5, *pairs.captions[1:]])) is None
    assert truth_of(gallery(pairs, image_id=["val.png", *pairs.image_ids[1:]])) is None
