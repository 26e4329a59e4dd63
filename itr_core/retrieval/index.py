"""Vector indexes behind one interface, so that FAISS can be replaced by another engine."""

from collections.abc import Iterator
from typing import Protocol

import faiss
import numpy as np

_BLOCK = 65_536
"""Vectors that are read at a time."""
_SPARE = 32
"""Candidates of the half-precision scan beyond k."""
_ROUNDING = 2e-4
"""Upper limit of the error of an inner product of two unit vectors in half precision."""


class Index(Protocol):
    """n vectors of d dimensions that can be searched by inner product."""

    def search(
        self, queries: np.ndarray, k: int, among: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the k vectors with the largest inner product for each query.

        Args:
            queries: (q, d) float32.
            k: number of results; with fewer vectors, all are returned.
            among: rows to search, int64, ascending; None for all.

        Returns:
            Scores float32 and rows int64, both (q, min(k, n)), best first.
        """
        ...


class ExactIndex:
    """Exact search by a scan of all vectors in half precision, which halves the memory to read.

    The best candidates, k and all that rounding could have excluded from them, are scored again in single
    precision, so scores and order are exact. Equal scores are ordered by row. No approximate index is needed
    up to about 200,000 vectors (1.2 ms for 31,000 vectors of 512 dimensions).

    Args:
        vectors: (N, d) float32; stored by reference.
        rows: the n of these vectors that are indexed, ascending; None for all. Results count them from 0.
    """

    def __init__(self, vectors: np.ndarray, rows: np.ndarray | None = None) -> None:
        self._vectors = vectors
        self._rows = rows
        self._half = faiss.IndexScalarQuantizer(
            vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        for block in blocks(vectors, rows):
            self._half.add(block)

    def search(
        self, queries: np.ndarray, k: int, among: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Index.search`."""
        n = self._half.ntotal if among is None else len(among)
        k = min(k, n)
        if k == 0:
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        # Set at every search, because the setting applies to the calling thread only. Two threads make scans
        # 4 to 14 times slower.
        faiss.omp_set_num_threads(1)
        contiguous = np.ascontiguousarray(queries, dtype=np.float32)
        count = min(k + _SPARE, n)
        selected = selector = None
        if among is not None:
            selected, selector = faiss.SearchParameters(), faiss.IDSelectorBatch(among)
            selected.sel = selector  # a pointer: the variable keeps the selector alive
        coarse, found = self._half.search(contiguous, count, params=selected)
        while count < n and (coarse[:, k - 1] - coarse[:, -1] < _ROUNDING).any():
            count = min(4 * count, n)
            coarse, found = self._half.search(contiguous, count, params=selected)
        return rescored(self._vectors, self._rows, queries, found, k)


def blocks(vectors: np.ndarray, rows: np.ndarray | None) -> Iterator[np.ndarray]:
    """Yield the indexed vectors, float32 and contiguous, in blocks, because all of them may exceed memory."""
    for start in range(0, len(vectors) if rows is None else len(rows), _BLOCK):
        some = slice(start, start + _BLOCK)
        yield np.ascontiguousarray(vectors[some if rows is None else rows[some]], dtype=np.float32)


def rescored(
    vectors: np.ndarray, rows: np.ndarray | None, queries: np.ndarray, found: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Score candidates in single precision and return the k best of them; equal scores are ordered by row.

    Args:
        vectors: (N, d) float32.
        rows: see `ExactIndex`.
        queries: (q, d) float32.
        found: candidates of each query, (q, c) int64 with c >= k.
        k: number of results.
    """
    found = np.sort(found, axis=1)
    candidates = vectors[found if rows is None else rows[found]]
    scores = np.einsum("qd,qcd->qc", queries, candidates, dtype=np.float32)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, best, axis=1), np.take_along_axis(found, best, axis=1)
