"""Exact nearest neighbours by cosine similarity.

`faiss.knn` finds the same neighbours, but its cosines differ in the last digits (by up to 1e-6) and it breaks
ties in another order. Captions that occur twice are ties, so hubness and the maps of Picturebook galleries
would change. For the same reason `top_k` and `nearest` each keep the `argpartition` that published results
were computed with.
"""

from collections.abc import Callable

import numpy as np

from analysis.blocks import blocks

BLOCK_ROWS = 512
"""Queries whose cosines with all rows exist at once."""


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the columns of the k largest scores of each row, in no particular order.

    Args:
        scores: (q, n).
        k: in [1, n].

    Returns:
        (q, k) int64. Among equal scores at the boundary, an arbitrary choice, the same on the same machine.
    """
    return np.argpartition(scores, -k, axis=1)[:, -k:]


def nearest(
    rows: np.ndarray, queries: np.ndarray, k: int, on_block: Callable[[], None] = lambda: None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest rows of each query, nearest first.

    Args:
        rows: (n, d) unit vectors.
        queries: (q, d) unit vectors.
        k: in [1, n].
        on_block: called after every block of 512 queries.

    Returns:
        Indices, int32 (q, k), and squared Euclidean distances, float32 (q, k).
    """
    indices = np.empty((len(queries), k), np.int32)
    squared = np.empty((len(queries), k), np.float32)
    for block in blocks(len(queries), BLOCK_ROWS):
        cosines = queries[block] @ rows.T
        best = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(cosines, best, axis=1), axis=1)
        indices[block] = best = np.take_along_axis(best, order, axis=1)
        squared[block] = np.maximum(0, 2 - 2 * np.take_along_axis(cosines, best, axis=1))
        on_block()
    return indices, squared
