"""Metrics for full relevance instead of given pairs: best rank, false negatives, nDCG.

Pure functions of a similarity matrix and a relevance matrix (as is `itr_core.metrics.precision_at_r`).
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from itr_core.metrics.arrays import as_array
from itr_core.metrics.similarity import RelevanceRows, Rows, as_relevance, as_rows, blocks


def true_ranks(similarity: Rows | ArrayLike, relevant: RelevanceRows | ArrayLike) -> np.ndarray:
    """Compute the rank of the best relevant item of each query, 1 = best; ties as in `ranks`.

    R@k over all relevant items is the fraction of queries whose rank is at most k. If only the given pairs
    are relevant, it equals the recall of `retrieval_metrics`.

    Args:
        similarity: (n_query, n_item).
        relevant: (n_query, n_item) bool.

    Returns:
        (n_query,) float64, NaN for queries without relevant items.

    Raises:
        ValueError: inconsistent shapes, or NaN in the similarity.

    >>> true_ranks(np.array([[.9, .8, .7], [.9, .8, .7]]), np.array([[False, True, True], [False] * 3]))
    array([ 2., nan])
    """
    similarity, relevant = as_rows(similarity), as_relevance(relevant)
    _check(similarity, relevant)
    found = np.full(similarity.shape[0], np.nan)
    for rows, block in blocks(similarity):
        true = relevant[rows]
        best = np.where(true, block, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
        rank = 1 + (block > best).sum(axis=1) + ((block == best) & ~true).sum(axis=1) / 2
        found[rows] = np.where(true.any(axis=1), rank, np.nan)
    return found


def first_answers(
    similarity: Rows | ArrayLike, relevant: RelevanceRows | ArrayLike, given: RelevanceRows | ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Return whether the first answer to each query is relevant, and whether it is a given pair.

    A first answer that is relevant but not given is a *false negative*: R@1 counts it as a miss. Of equal
    scores, the first item is the first answer.

    Args:
        similarity: (n_query, n_item).
        relevant: (n_query, n_item) bool, all relevant items.
        given: (n_query, n_item) bool, the annotated pairs.

    Returns:
        (n_query,) bool twice.

    Raises:
        ValueError: as `true_ranks`.
    """
    similarity = as_rows(similarity)
    relevant, given = as_relevance(relevant), as_relevance(given)
    _check(similarity, relevant)
    _check(similarity, given)
    true, pair = np.zeros((2, similarity.shape[0]), bool)
    for rows, block in blocks(similarity):
        first = np.arange(len(block)), block.argmax(axis=1)
        true[rows], pair[rows] = relevant[rows][first], given[rows][first]
    return true, pair


def ndcg(parts: Iterable[tuple[ArrayLike, ArrayLike]], k: int = 10) -> np.ndarray:
    r"""Compute the normalised discounted cumulative gain at k of every query, in [0, 1].

        DCG = sum_{r <= k} gain(item r) / log2(1 + r),    nDCG = DCG / the DCG of the best possible order

    The gain is linear, not 2^gain - 1. With `Relevance.grade` it is the fraction of the facts of an image
    that a caption states, and 0 if the caption is false. Among true answers, T2I prefers images of which
    the caption states almost all facts, and I2T prefers captions that state many facts.

    Args:
        parts: (similarity (n_query, b), gain (n_query, b) >= 0) of b items at a time, so that neither
            matrix has to be in memory as a whole. Equal scores rank in the order of the items.
        k: number of results that count, at least 1.

    Returns:
        (n_query,) float64, NaN for queries without any gain.

    Raises:
        ValueError: inconsistent shapes, or no items.

    References:
        Järvelin & Kekäläinen, Cumulated Gain-Based Evaluation of IR Techniques, TOIS 2002.

    >>> ndcg([(np.array([[3, 2, 1]]), np.array([[0, 1, 0.5]]))]).round(4)  # (1/1.585 + .5/2) / (1 + .5/1.585)
    array([0.6697])
    """
    found: np.ndarray | None = None  # (score, its gain, the largest gains), k of each
    for part in parts:
        similarity, gain = (as_array(each) for each in part)
        _check(similarity, gain)
        score, ideal = similarity.astype(np.float64), gain
        if found is not None:
            score, gain = np.hstack([found[0], score]), np.hstack([found[1], gain])
            ideal = np.hstack([found[2], ideal])
        best = np.argsort(-score, axis=1, kind="stable")[:, :k]
        found = np.stack(
            [
                np.take_along_axis(score, best, axis=1),
                np.take_along_axis(gain, best, axis=1),
                -np.sort(-ideal, axis=1)[:, :k],
            ]
        )
    if found is None:
        raise ValueError("There are no items to rank.")
    discount = 1 / np.log2(2 + np.arange(found.shape[2]))
    _, dcg, most = found @ discount
    with np.errstate(invalid="ignore"):
        return dcg / most


def _check(similarity: Rows, truth: RelevanceRows) -> None:
    if tuple(similarity.shape) != tuple(truth.shape):
        raise ValueError(f"The similarity is {similarity.shape}, truth {truth.shape}.")
