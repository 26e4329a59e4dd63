"""Nearest neighbours against sorting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import neighbours
from analysis.neighbours import nearest, top_k


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@given(st.integers(0, 9999), st.integers(1, 12), st.integers(1, 9))
def test_nearest_rows_are_those_of_sorting(seed: int, n: int, block: int) -> None:
    random = np.random.default_rng(seed)
    rows, queries = unit(random.normal(size=(n, 4))), unit(random.normal(size=(7, 4)))
    k = int(random.integers(1, n + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "BLOCK_ROWS", block)
        indices, squared = nearest(rows, queries, k)
    distance = ((queries[:, None] - rows) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared, np.sort(distance, axis=1)[:, :k], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(distance, indices, axis=1), squared, atol=1e-5)
    for row, columns in zip(queries @ rows.T, top_k(queries @ rows.T, k), strict=True):
        assert sorted(row[columns]) == sorted(row)[-k:]


def test_every_block_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_ROWS", 3)
    calls: list[None] = []
    nearest(np.eye(4), np.eye(4)[[0, 1, 2, 3, 0, 1, 2]], 1, lambda: calls.append(None))
    assert len(calls) == 3
