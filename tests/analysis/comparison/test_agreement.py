"""Rank-biased overlap, against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.comparison.agreement import rank_biased_overlap

RANKINGS = st.permutations(range(8))


def by_definition(first: list[int], second: list[int], p: float) -> float:
    """Equation 32 of Webber et al., one depth after the other."""
    k = len(first)
    share = [len(set(first[:d]) & set(second[:d])) / d for d in range(1, k + 1)]
    return share[-1] * p**k + (1 - p) / p * sum(share[d - 1] * p**d for d in range(1, k + 1))


@given(RANKINGS, RANKINGS, st.floats(0.05, 0.95), st.integers(1, 8))
def test_it_is_the_published_equation(first: list[int], second: list[int], p: float, k: int) -> None:
    first, second = first[:k], second[:k]
    assert rank_biased_overlap([first], [second], p)[0] == pytest.approx(by_definition(first, second, p))


def test_equal_rankings_agree_and_disjoint_ones_do_not() -> None:
    rankings = np.array([["a", "b", "c"], ["a", "b", "c"]])
    others = np.array([["a", "b", "c"], ["x", "y", "z"]])
    np.testing.assert_allclose(rank_biased_overlap(rankings, others), [1, 0])


def test_a_change_at_the_top_counts_more_than_one_below() -> None:
    top, below = rank_biased_overlap([[1, 2, 3, 4], [1, 2, 3, 4]], [[2, 1, 3, 4], [1, 2, 4, 3]])
    assert top < below < 1


def test_rankings_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="two equal shapes"):
        rank_biased_overlap([[1, 2]], [[1]])
