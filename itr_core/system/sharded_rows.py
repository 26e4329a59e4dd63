"""Rows of several `.npy` files as one array: a shard is mapped from disk when a row of it is read."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

OPEN = 128
"""Shards that stay mapped. Every map holds a file open, and a process may often open 1,024 files only."""


class ShardedRows(NDArrayOperatorsMixin):
    """The rows of all shards in order, read-only, with the interface of an array where rows are read.

    Indexing with a row number, a slice or an array of row numbers maps only the shards of these rows.
    `rows @ vectors` reads one shard after the other. All other operations, and `np.asarray`, read
    everything into memory.

    Args:
        files: `.npy` files; all have the same dtype and, if they have rows, the same row shape.
        counts: number of rows of each file.
        check: called with each file before it is mapped; raises an error if the file is damaged.

    Raises:
        OSError: a file is missing.
        ValueError: a file is no `.npy` file, or its number of rows is not that of `counts`.
    """

    def __init__(
        self, files: Sequence[Path], counts: Sequence[int], check: Callable[[Path], None] = lambda file: None
    ) -> None:
        self._files = list(files)
        self._counts = list(counts)
        self._starts = np.cumsum([0, *counts])
        self._check = check
        self._checked: set[int] = set()
        self._open = lru_cache(maxsize=OPEN)(self._mapped)
        filled = next((shard for shard, count in enumerate(counts) if count), 0)
        first = np.load(self._files[filled], mmap_mode="r", allow_pickle=False)
        self.dtype: np.dtype[Any] = first.dtype
        self.shape: tuple[int, ...] = (int(self._starts[-1]), *first.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """Return rows: a view of one shard for a number, otherwise a copy."""
        rows, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(rows, int | np.integer):
            if not -len(self) <= rows < len(self):
                raise IndexError(f"row {rows} of {len(self)}")
            row = int(rows) % len(self)
            shard = int(np.searchsorted(self._starts, row, side="right")) - 1
            return self._open(shard)[(row - self._starts[shard], *rest)]
        chosen = self._numbers(rows)
        values = np.empty((*chosen.shape, *self.shape[1:]), self.dtype)
        shards = np.searchsorted(self._starts, chosen, side="right") - 1
        for shard in np.unique(shards).tolist():
            here = shards == shard
            values[here] = self._open(shard)[chosen[here] - self._starts[shard]]
        return values[(*[slice(None)] * chosen.ndim, *rest)] if rest else values

    def __matmul__(self, other: np.ndarray) -> np.ndarray:
        """Multiply the rows (n, d) by (d,) or (d, m), shard by shard."""
        return np.concatenate([block @ other for _, block in self._blocks()])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read everything into memory."""
        if copy is False:
            raise ValueError("Rows in several files become one array only as a copy.")
        values = np.empty(self.shape, self.dtype if dtype is None else dtype)
        for start, block in self._blocks():
            values[start : start + len(block)] = block
        return values

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Let operators and functions of NumPy work on the rows in memory."""
        arrays = [np.asarray(each) if isinstance(each, ShardedRows) else each for each in inputs]
        return getattr(function, method)(*arrays, **options)

    def _blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the shards that have rows, in order, each with the number of its first row."""
        for shard, count in enumerate(self._counts):
            if count:
                yield int(self._starts[shard]), self._open(shard)

    def _numbers(self, rows: Any) -> np.ndarray:
        """Return the row numbers, 0 to n - 1, that a slice, a mask or an array of numbers selects."""
        if isinstance(rows, slice):
            return np.arange(*rows.indices(len(self)))
        chosen = np.asarray(rows)
        if chosen.dtype == bool:
            if chosen.shape != (len(self),):
                raise IndexError(f"a mask {chosen.shape} of {len(self)} rows")
            return np.flatnonzero(chosen)
        if chosen.size and not -len(self) <= chosen.min() <= chosen.max() < len(self):
            raise IndexError(f"rows {chosen.min()} to {chosen.max()} of {len(self)}")
        return chosen.astype(np.int64, copy=False) % len(self)

    def _mapped(self, shard: int) -> np.ndarray:
        file = self._files[shard]
        if shard not in self._checked:
            self._check(file)
            self._checked.add(shard)
        rows = np.load(file, mmap_mode="r", allow_pickle=False)
        if len(rows) != self._counts[shard] or rows.dtype != self.dtype:
            raise ValueError(f"{file} has {len(rows)} rows {rows.dtype}, not {self._counts[shard]}")
        return rows
