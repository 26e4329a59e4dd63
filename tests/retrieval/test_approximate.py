"""The approximate index finds what an exact search finds, but for one result in a hundred."""

import numpy as np
import pytest

from itr_core.errors import GalleryError
from itr_core.retrieval.approximate import ApproximateIndex, Settings, build_approximate
from itr_core.retrieval.filters import Among
from itr_core.retrieval.index import ExactIndex
from tests.retrieval.gap import pairs

N = 20_000
IMAGES, CAPTIONS = pairs(N, 64)
SAMPLE, QUERIES = CAPTIONS[:200], CAPTIONS[-300:]


@pytest.fixture(scope="module")
def index() -> ApproximateIndex:
    return build_approximate(IMAGES, None, SAMPLE)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    return float((found[:, :, None] == exact[:, None]).any(axis=1).mean())


def test_captions_find_99_of_100_of_the_ten_nearest_images(index: ApproximateIndex) -> None:
    """The settings were chosen with other captions than these."""
    exact = ExactIndex(IMAGES).search(QUERIES, 10)
    scores, rows = index.search(QUERIES, 10)
    assert index.settings.recall >= 0.99
    assert recall(rows, exact[1]) >= 0.985
    assert index.settings.probes < index.lists.nlist
    np.testing.assert_allclose(scores, np.take_along_axis(QUERIES @ IMAGES.T, rows, axis=1), atol=1e-6)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_it_is_smaller_than_the_vectors(index: ApproximateIndex) -> None:
    assert index.lists.code_size * 16 == IMAGES.shape[1] * IMAGES.itemsize


@pytest.mark.parametrize("some", [50, 300, 12_000])
def test_a_filter_is_kept_and_its_best_rows_are_found(
    index: ApproximateIndex, some: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few rows are scored exactly; among more, the lists are scanned."""
    monkeypatch.setattr("itr_core.retrieval.index._FEW", 100)
    among = np.sort(np.random.default_rng(1).choice(N, some, replace=False))
    _, exact = ExactIndex(IMAGES).search(QUERIES, 10, Among(among))
    _, rows = index.search(QUERIES, 10, Among(among))
    assert np.isin(rows, among).all()
    assert recall(rows, exact) >= 0.985


def test_there_are_as_many_results_as_are_asked_for_even_if_the_first_lists_are_short() -> None:
    index = build_approximate(IMAGES[:2_000], None, SAMPLE[:20])
    few = ApproximateIndex(index.vectors, None, index.lists, Settings(1, 100, 0))
    for k in (100, 1_900, 5_000):
        _, rows = few.search(QUERIES[:5], k)
        assert rows.shape == (5, min(k, 2_000))
        assert all(len(set(row)) == len(row) for row in rows.tolist())
    assert few.search(QUERIES[:5], 3, Among(np.zeros(0, np.int64)))[1].shape == (5, 0)


def test_some_rows_of_the_vectors_can_be_indexed() -> None:
    kept = np.arange(0, N, 5)
    _, rows = build_approximate(IMAGES, kept, SAMPLE[:100]).search(QUERIES, 10)
    _, exact = ExactIndex(IMAGES, kept).search(QUERIES, 10)
    assert recall(rows, exact) >= 0.985


def test_an_index_that_misses_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for bound in ("GOAL", "LEAST"):
        monkeypatch.setattr(f"itr_core.retrieval.approximate.{bound}", 1.01)
    with pytest.raises(GalleryError, match=r"finds only .* of the ten best results.*Searches stay exact"):
        build_approximate(IMAGES[:5_000], None, SAMPLE[:20])
