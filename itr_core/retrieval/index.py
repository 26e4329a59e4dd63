"""Vector indexes behind one interface, so that FAISS can be replaced by another engine."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import faiss
import numpy as np

from itr_core.retrieval.filters import Among

_BLOCK = 65_536
"""Vectors that are read at a time."""
_SPARE = 32
"""Candidates of the half-precision scan beyond k."""
_ROUNDING = 2e-4
"""Upper limit of the error of an inner product of two unit vectors in half precision."""
_FEW = 20_000
"""Filtered rows up to which all of them are scored, without asking an engine for candidates."""


class Index(Protocol):
    """n vectors of d dimensions that can be searched by inner product."""

    @property
    def approximate(self) -> bool:
        """Whether some of the best results can be missing."""
        ...

    def search(
        self, queries: np.ndarray, k: int, among: Among | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the k vectors with the largest inner product for each query.

        Args:
            queries: (q, d) float32.
            k: number of results; with fewer vectors, all are returned.
            among: what to search; None for all.

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

    approximate = False

    def __init__(self, vectors: np.ndarray, rows: np.ndarray | None = None) -> None:
        self._vectors = vectors
        self._rows = rows
        self._half = faiss.IndexScalarQuantizer(
            vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        for block in blocks(vectors, rows):
            self._half.add(block)

    def search(
        self, queries: np.ndarray, k: int, among: Among | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Index.search`."""
        n = self._half.ntotal if among is None else len(among.rows)
        k = min(k, n)
        if k == 0:
            return _nothing(queries)
        # Set at every search, because the setting applies to the calling thread only. Two threads make scans
        # 4 to 14 times slower.
        faiss.omp_set_num_threads(1)
        contiguous = np.ascontiguousarray(queries, dtype=np.float32)
        count = min(k + _SPARE, n)
        selected = selector = None
        if among is not None:
            selected, selector = faiss.SearchParameters(), faiss.IDSelectorBatch(among.rows)
            selected.sel = selector  # a pointer: the variable keeps the selector alive
        coarse, found = self._half.search(contiguous, count, params=selected)
        while count < n and (coarse[:, k - 1] - coarse[:, -1] < _ROUNDING).any():
            count = min(4 * count, n)
            coarse, found = self._half.search(contiguous, count, params=selected)
        return rescored(self._vectors, self._rows, queries, found, k)


@dataclass(frozen=True)
class CandidateIndex(ABC):
    """An index whose engine finds candidates, which are scored again in single precision.

    Scores and the order of the results are exact; only the choice of candidates can be approximate.

    Attributes:
        vectors: (N, d) float32, stored by reference.
        rows: the n vectors that are indexed, see `ExactIndex`.
    """

    vectors: np.ndarray
    rows: np.ndarray | None

    def __len__(self) -> int:
        return len(self.vectors if self.rows is None else self.rows)

    def search(
        self, queries: np.ndarray, k: int, among: Among | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Index.search`. If a filter leaves few rows, all of them are scored."""
        n = len(self) if among is None else len(among.rows)
        k = min(k, n)
        if k == 0:
            return _nothing(queries)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if among is not None and n <= _FEW:
            found = np.broadcast_to(among.rows, (len(queries), n))
        else:
            found = self.candidates(queries, k, among)
        return rescored(self.vectors, self.rows, queries, found, k)

    @abstractmethod
    def candidates(self, queries: np.ndarray, k: int, among: Among | None) -> np.ndarray:
        """Return k rows or more for each query, int64, (q, c).

        Args:
            queries: (q, d) float32, contiguous.
            k: from 1 to the number of rows that are searched.
            among: see `Index.search`.
        """


def exact_rows(vectors: np.ndarray, rows: np.ndarray | None, queries: np.ndarray, k: int) -> np.ndarray:
    """Return the k best rows of each query, (q, k) int64; reads the vectors once and keeps none of them."""
    best, start = faiss.ResultHeap(len(queries), k, keep_max=True), 0
    for block in blocks(vectors, rows):
        scores, found = faiss.knn(queries, block, min(k, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        best.add_result(scores, found + start)
        start += len(block)
    best.finalize()
    return np.asarray(best.I)


def _nothing(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)


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
