"""Rows in several files are read as those of one array."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from itr_core.system.sharded_rows import ShardedRows

COUNTS = [3, 0, 4, 1]
ROWS = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    files = [tmp_path / f"{shard}.npy" for shard in range(len(COUNTS))]
    for file, rows in zip(files, np.split(ROWS, np.cumsum(COUNTS)[:-1]), strict=True):
        np.save(file, rows)
    return files


KEYS: list[Any] = [
    0, -1, np.int64(3), slice(None), slice(2, 6), slice(None, None, -2), slice(5, 2), [7, 0, 0, -2], [],
    np.array([[1, 7], [3, 3]]), np.arange(8) % 3 == 0, (slice(1, 7), 2), ([6, 1], slice(1, 3)), (4, 2),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_reads_what_an_array_has(files: list[Path], key: Any) -> None:
    found = ShardedRows(files, COUNTS)[key]
    np.testing.assert_array_equal(found, ROWS[key])


def test_numpy_works_on_all_rows(files: list[Path]) -> None:
    rows = ShardedRows(files, COUNTS)
    assert (len(rows), rows.shape, rows.ndim, str(rows.dtype)) == (8, (8, 5), 2, "float32")
    np.testing.assert_array_equal(np.asarray(rows), ROWS)
    np.testing.assert_array_equal(np.asarray(rows, dtype=np.float64), ROWS.astype(float))
    np.testing.assert_allclose(rows @ ROWS[0], ROWS @ ROWS[0], rtol=1e-6)
    np.testing.assert_allclose(rows @ ROWS.T, ROWS @ ROWS.T, rtol=1e-6)
    np.testing.assert_array_equal(2 * rows, 2 * ROWS)
    with pytest.raises(ValueError, match="only as a copy"):
        np.asarray(rows, copy=False)


def test_only_files_of_rows_that_are_read_are_opened_and_each_is_checked_once(files: list[Path]) -> None:
    checked: list[Path] = []
    rows = ShardedRows(files, COUNTS, checked.append)
    assert checked == []
    _ = rows[7], rows[7], rows[3:7], rows[5]
    assert checked == [files[3], files[2]]


@pytest.mark.parametrize("key", [8, -9, [0, 8], [-9], np.ones(7, bool)], ids=str)
def test_rows_that_do_not_exist(files: list[Path], key: Any) -> None:
    with pytest.raises(IndexError, match="of 8"):
        ShardedRows(files, COUNTS)[key]


def test_a_file_with_other_rows_than_the_counts(files: list[Path]) -> None:
    np.save(files[2], ROWS[:2])
    with pytest.raises(ValueError, match=r"2\.npy has 2 rows float32, not 4"):
        ShardedRows(files, COUNTS)[4]
