"""An approximate index: vectors in inverted lists, compressed to four bits for two dimensions.

The vectors are divided into lists around centroids, and a search scans the lists whose centroids are nearest
to the query (Jegou et al., Product Quantization for Nearest Neighbor Search, 2011, IVFADC). The codes of four
bits are scanned in registers (André et al., Quicker ADC, 2019; faiss: `IndexIVFPQFastScan`). The best
candidates are scored again by the vectors themselves, so scores are exact and only the choice is approximate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import faiss
import numpy as np

from itr_core.errors import GalleryError
from itr_core.retrieval.filters import Among
from itr_core.retrieval.index import CandidateIndex, Index, blocks, exact_rows

FEWEST = 10_000
"""Vectors below which there is no approximate index: an exact search takes less than a millisecond."""
K = 10
GOAL = 0.995
"""Recall@10 that the settings of a new index must reach on sample queries, against exact search."""
LEAST = 0.99
"""Recall@10 below which there is no index."""
_ROUNDS = 8
"""Iterations of k-means."""
_SAMPLE = 40
"""Vectors per list from which the centroids are computed; faiss warns below 39."""


class Settings(NamedTuple):
    """How many lists a search scans, how many candidates it scores exactly, and the recall this reached."""

    probes: int
    candidates: int
    recall: float


@dataclass(frozen=True)
class ApproximateIndex(CandidateIndex):
    """Search by inverted lists; several threads may use one index.

    Attributes:
        lists: the compressed vectors.
        settings: of the search.
    """

    lists: faiss.IndexIVFPQFastScan
    settings: Settings

    @property
    def approximate(self) -> bool:
        """See `Index.approximate`."""
        return True

    def candidates(self, queries: np.ndarray, k: int, among: Among | None) -> np.ndarray:
        """See `CandidateIndex.candidates`.

        With a filter all lists are scanned, because its best rows can be in lists that are far from the
        query; without one, more lists if the nearest ones have fewer vectors.
        """
        n = len(self) if among is None else len(among.rows)
        count = min(max(self.settings.candidates, 4 * k), n)
        selector = None if among is None else faiss.IDSelectorBatch(among.rows)
        probes = self.settings.probes if among is None else self.lists.nlist
        selected = faiss.SearchParametersIVF()
        selected.sel = selector
        while True:
            selected.nprobe = probes
            _, found = self.lists.search(queries, count, params=selected)
            if probes >= self.lists.nlist or (found >= 0).all():  # -1: there were no more vectors
                return np.asarray(found)
            probes = min(4 * probes, self.lists.nlist)


def build_approximate(
    vectors: np.ndarray,
    rows: np.ndarray | None,
    queries: np.ndarray,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ApproximateIndex:
    """Compress vectors into lists, and choose the settings by the recall of sample queries.

    Args:
        vectors: (N, d) float32 of unit norm.
        rows: the n vectors that are indexed, at least `FEWEST`; None for all.
        queries: (q, d) float32 of unit norm. They should be of the kind that will be searched with: queries
            of the other modality are farther from the vectors, and need more lists.
        progress: called with the number of vectors done and in total.

    Raises:
        GalleryError: Even with all lists, the recall of the queries stays below `LEAST`.
    """
    n, d = (len(vectors) if rows is None else len(rows)), vectors.shape[1]
    count = 2 ** round(np.log2(2 * np.sqrt(n)))
    lists = faiss.IndexIVFPQFastScan(
        faiss.IndexFlatIP(d), d, count, d // 2 if d % 2 == 0 else d, 4, faiss.METRIC_INNER_PRODUCT
    )
    lists.cp.niter, lists.cp.max_points_per_centroid = _ROUNDS, _SAMPLE
    sample = np.sort(np.random.default_rng(0).choice(n, min(n, count * _SAMPLE), replace=False))
    lists.train(np.ascontiguousarray(vectors[sample if rows is None else rows[sample]], dtype=np.float32))
    for block in blocks(vectors, rows):
        lists.add(block)
        progress(lists.ntotal, n)
    return ApproximateIndex(vectors, rows, lists, _settings(vectors, rows, lists, queries))


def recall(index: Index, queries: np.ndarray, exact: np.ndarray) -> float:
    """Return the share of the exact results that an index finds, by one search for each query.

    Args:
        index: the index.
        queries: (q, d) float32.
        exact: best rows of each query, (q, k) int64.
    """
    found = np.concatenate([index.search(query[None], exact.shape[1])[1] for query in queries])
    return float((found[:, :, None] == exact[:, None]).any(axis=1).mean())


def _settings(
    vectors: np.ndarray,
    rows: np.ndarray | None,
    lists: faiss.IndexIVFPQFastScan,
    queries: np.ndarray,
) -> Settings:
    """Return the fastest settings that reach `GOAL`, or the best ones if these reach `LEAST`."""

    def cost(probes: int, candidates: int) -> float:
        """Bytes that are read: codes in a row, and vectors at random, which takes ten times as long."""
        return probes / lists.nlist * lists.ntotal * lists.code_size + 10 * candidates * 4 * lists.d

    probes = [lists.nlist >> shift for shift in range(6) if lists.nlist >> shift]
    exact, tried = exact_rows(vectors, rows, queries, K), []
    for some, candidates in sorted(product(probes, (100, 400, 1600)), key=lambda each: cost(*each)):
        index = ApproximateIndex(vectors, rows, lists, Settings(some, candidates, 0))
        tried.append(Settings(some, candidates, recall(index, queries, exact)))
        if tried[-1].recall >= GOAL:
            return tried[-1]
    best = max(tried, key=lambda each: each.recall)
    if best.recall < LEAST:
        raise GalleryError(
            f"An approximate index of these {lists.ntotal} vectors finds only {best.recall:.1%} of the ten "
            f"best results; {LEAST:.0%} are required. Searches stay exact."
        )
    return best
