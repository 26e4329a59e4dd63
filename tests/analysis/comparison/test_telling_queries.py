"""Queries that tell models apart, and those that one mends or breaks."""

import numpy as np

from analysis.comparison.compared import Compared
from analysis.comparison.telling_queries import mended_and_broken, telling_queries

CAPTIONS = ["a dog", "a cat", "a bird", "a dog", "a very long caption with far more than only eight words"]


def model(right: list[list[int]], first: list[list[int]] | None = None) -> Compared:
    """Return a model whose first images (5, 2) are right as stated; each caption has two right images."""
    ranked = np.array(first or [[0, 1]] * 5)
    nothing = np.zeros(0)
    return Compared(ranked, np.array(right, bool), np.full(5, 2), nothing, nothing, nothing, nothing)


A = model([[1, 1], [1, 0], [1, 0], [1, 1], [1, 1]])
B = model([[0, 0], [0, 1], [1, 1], [0, 0], [0, 0]], [[8, 9], [1, 0], [0, 1], [8, 9], [8, 9]])


def test_the_captions_with_the_largest_difference_come_first_and_long_ones_last() -> None:
    assert telling_queries([A, B], CAPTIONS, 9) == [0, 2, 4]
    assert telling_queries([A, B], CAPTIONS, 1) == [0]


def test_equal_models_are_told_apart_by_nothing() -> None:
    assert telling_queries([A, A, A], CAPTIONS, 9) == []


def test_mended_and_broken_captions_are_those_whose_first_image_changes_between_right_and_wrong() -> None:
    mended, broken = mended_and_broken(A, B)
    assert mended.tolist() == []
    assert broken.tolist() == [0, 3, 4, 1]  # those that lose most first
    mended, broken = mended_and_broken(B, A)
    assert sorted(mended.tolist()) == [0, 1, 3, 4]
    assert broken.tolist() == []
