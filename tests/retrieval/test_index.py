"""The exact index returns the same results as sorting all inner products."""

import threading

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itr_core.retrieval.filters import Among
from itr_core.retrieval.index import ExactIndex


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    x = rng.standard_normal(shape, dtype=np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def by_sorting(queries: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = queries @ vectors.T
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, rows, axis=1), rows


@pytest.mark.parametrize(("n", "d"), [(5000, 512), (700, 7), (1, 192)])
def test_search_equals_sorting_all_scores(n: int, d: int) -> None:
    rng = np.random.default_rng(n)
    vectors, queries = unit(rng, n, d), unit(rng, 40, d)
    scores, rows = ExactIndex(vectors).search(queries, 10)
    true_scores, true_rows = by_sorting(queries, vectors, 10)
    np.testing.assert_array_equal(rows, true_rows)
    np.testing.assert_allclose(scores, true_scores, atol=1e-6)
    assert scores.dtype == np.float32
    assert rows.dtype == np.int64


def test_results_are_ordered_by_single_precision() -> None:
    """Vectors that are equal in half precision are ordered by their exact scores."""
    vectors = np.ones((20, 4), np.float32)
    vectors[:, 0] += np.random.default_rng(0).permutation(20) * 1e-6
    _, rows = ExactIndex(vectors).search(np.ones((1, 4), np.float32), 20)
    np.testing.assert_array_equal(rows[0], np.argsort(-vectors[:, 0], kind="stable"))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 80), st.integers(0, 2**32 - 1))
def test_equal_scores_are_ordered_by_row(n: int, different: int, k: int, seed: int) -> None:
    """No row is missing, repeated or out of order, also if k separates equal scores."""
    rng = np.random.default_rng(seed)
    vectors = np.eye(different, dtype=np.float32)[rng.integers(different, size=n)]
    queries = np.eye(different, dtype=np.float32)[:2]
    scores, rows = ExactIndex(vectors).search(queries, k)
    true_scores, true_rows = by_sorting(queries, vectors, k)
    np.testing.assert_array_equal(scores, true_scores)
    np.testing.assert_array_equal(rows, true_rows)


def test_an_empty_index_returns_no_results() -> None:
    scores, rows = ExactIndex(np.zeros((0, 8), np.float32)).search(np.ones((3, 8), np.float32), 5)
    assert scores.shape == rows.shape == (3, 0)


def test_every_calling_thread_uses_one_openmp_thread() -> None:
    """OpenMP's setting applies to one calling thread, and a server calls from many."""
    index = ExactIndex(unit(np.random.default_rng(0), 50, 8))
    threads: list[int] = []

    def search() -> None:
        index.search(np.ones((1, 8), np.float32), 3)
        threads.append(faiss.omp_get_max_threads())

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert threads == [1]


def test_a_search_among_some_rows_equals_sorting_them() -> None:
    rng = np.random.default_rng(3)
    vectors, queries = unit(rng, 2000, 16), unit(rng, 20, 16)
    among = np.sort(rng.choice(2000, 90, replace=False))
    for k in (5, 90, 200):
        scores, rows = ExactIndex(vectors).search(queries, k, Among(among))
        true_scores, positions = by_sorting(queries, vectors[among], k)
        np.testing.assert_array_equal(rows, among[positions])
        np.testing.assert_allclose(scores, true_scores, atol=1e-6)
    assert ExactIndex(vectors).search(queries, 5, Among(among[:0]))[1].shape == (20, 0)


def test_an_index_of_some_rows_equals_an_index_of_these_vectors() -> None:
    """Rows that are left out are neither found nor copied; results count the rows that are indexed."""
    rng = np.random.default_rng(4)
    vectors, queries = unit(rng, 900, 16), unit(rng, 20, 16)
    rows = np.sort(rng.choice(900, 400, replace=False))
    some, copied = ExactIndex(vectors, rows), ExactIndex(vectors[rows])
    for among in (None, Among(np.arange(0, 400, 3))):
        for found, expected in zip(
            some.search(queries, 9, among), copied.search(queries, 9, among), strict=True
        ):
            np.testing.assert_array_equal(found, expected)
