"""Rows appended to a `.npy` file are read by NumPy, also after an interruption."""

from pathlib import Path

import numpy as np
import pytest

from itr_core.system.npy import append_rows, truncate_to_whole_rows

ROWS = np.random.default_rng(0).standard_normal((10, 2, 3)).astype(np.float16)


def test_appended_rows_equal_np_save(tmp_path: Path) -> None:
    with (tmp_path / "appended.npy").open("wb") as file:
        for start in range(0, 10, 4):
            append_rows(file, ROWS[start : start + 4], 10)
    np.save(tmp_path / "saved.npy", ROWS)
    assert (tmp_path / "appended.npy").read_bytes() == (tmp_path / "saved.npy").read_bytes()


def test_rows_that_are_not_contiguous_are_appended_in_order(tmp_path: Path) -> None:
    with (tmp_path / "rows.npy").open("wb") as file:
        append_rows(file, ROWS[::-1].swapaxes(1, 2), 10)
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), ROWS[::-1].swapaxes(1, 2))


@pytest.mark.parametrize(
    ("size", "whole"), [(0, 0), (5, 0), (128, 0), (139, 0), (140, 1), (163, 2), (248, 10)]
)
def test_an_incomplete_row_is_removed(tmp_path: Path, size: int, whole: int) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, ROWS)  # a header of 128 bytes and 12 bytes per row
    path.write_bytes(path.read_bytes()[:size])
    with path.open("ab+") as file:
        assert truncate_to_whole_rows(file) == whole
        append_rows(file, ROWS[whole:], 10)
    np.testing.assert_array_equal(np.load(path), ROWS)
