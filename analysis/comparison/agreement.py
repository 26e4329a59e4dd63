"""How much two rankings agree: rank-biased overlap."""

import numpy as np
from numpy.typing import ArrayLike

PERSISTENCE = 0.9
"""Probability with which the reader of a ranking goes on to the next rank: the first 10 ranks have 86 % of
the weight."""


def rank_biased_overlap(first: ArrayLike, second: ArrayLike, p: float = PERSISTENCE) -> np.ndarray:
    r"""Compute the rank-biased overlap of rankings, extrapolated from their first k ranks.

    With A_d the share of items that are among the first d of both rankings:

        RBO = A_k p^k + (1 - p)/p sum_{d <= k} A_d p^d

    It is 1 if the rankings are equal and 0 if they have no item in common. A change at rank 1 counts most.

    Args:
        first: (q, k) items of q rankings, best first, without repetitions: integers or strings.
        second: (q, k) items of the other rankings.
        p: in (0, 1); the larger, the more the lower ranks count.

    Returns:
        (q,) float64 in [0, 1].

    Raises:
        ValueError: the shapes differ, or k is 0.

    References:
        Webber, Moffat & Zobel, A Similarity Measure for Indefinite Rankings, ACM TOIS 2010, equation 32.

    >>> rank_biased_overlap([[1, 2]], [[1, 3]], p=0.5).tolist()  # A_1 = 1, A_2 = 1/2
    [0.75]
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape or first.ndim != 2 or not first.shape[1]:
        raise ValueError(
            f"Rankings have the shapes {first.shape} and {second.shape}; expected two equal shapes (q, k) "
            "with k of at least 1."
        )
    depths = np.arange(1, first.shape[1] + 1)
    # An item is among the first d of both from the larger of its two ranks on.
    same = first[:, :, None] == second[:, None, :]
    entered = np.zeros(first.shape)
    query, here, there = np.nonzero(same)
    np.add.at(entered, (query, np.maximum(here, there)), 1)
    overlap = entered.cumsum(axis=1) / depths
    return overlap @ ((1 - p) / p * p**depths) + overlap[:, -1] * p ** depths[-1]
