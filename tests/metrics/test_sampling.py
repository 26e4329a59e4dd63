"""Samples of rows: which rows, in which order, and that published samples stay the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itr_core.metrics.sampling import sample_rows, shuffled_rows


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 99))
def test_a_sample_contains_different_rows_and_all_if_there_are_few(count: int, most: int, seed: int) -> None:
    for rows in (sample_rows(count, most, seed), shuffled_rows(np.random.default_rng(seed), count, most)):
        assert len(set(rows.tolist())) == len(rows) == min(count, most)
        assert set(rows.tolist()) <= set(range(count))
    assert sorted(sample_rows(count, most, seed).tolist()) == sample_rows(count, most, seed).tolist()


def test_the_seed_decides() -> None:
    assert sample_rows(1000, 50, 3).tolist() == sample_rows(1000, 50, 3).tolist()
    assert sample_rows(1000, 50, 3).tolist() != sample_rows(1000, 50, 4).tolist()


def test_the_order_of_the_draw_can_be_kept() -> None:
    drawn = sample_rows(1000, 50, sort=False)
    assert drawn.tolist() != sorted(drawn.tolist())
    assert np.sort(drawn).tolist() == sample_rows(1000, 50).tolist()
    assert sample_rows(5, 50, sort=False).tolist() == [0, 1, 2, 3, 4]


def test_every_row_is_equally_likely() -> None:
    counts = np.zeros(20)
    for seed in range(2000):
        counts[sample_rows(20, 5, seed)] += 1
    assert counts == pytest.approx(np.full(20, 500), abs=5 * np.sqrt(2000 * 0.25 * 0.75))


def test_the_generator_goes_on_alike_for_any_size_of_the_sample() -> None:
    following = set()
    for most in (0, 3, 100):
        random = np.random.default_rng(0)
        shuffled_rows(random, 40, most)
        following.add(random.random())
    assert len(following) == 1


def test_the_samples_behind_published_figures_have_not_changed() -> None:
    assert sample_rows(100, 6).tolist() == [4, 26, 30, 49, 61, 80]
    assert shuffled_rows(np.random.default_rng(0), 100, 6).tolist() == [82, 36, 20, 5, 93, 16]
