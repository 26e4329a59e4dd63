"""Rows that are dear to make (drawn or decoded pictures, trunk features), made once and kept on disk.

A cache is a folder with `rows.npy` and `unusable.jsonl`. Rows are appended in order, so a killed build goes
on where it stopped; the folder takes its name only when it is complete.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock
from numpy.lib import format as npy
from rich.progress import Progress

from itr_core.errors import PairscopeError

ROWS, UNUSABLE = "rows.npy", "unusable.jsonl"

Chunk = tuple[np.ndarray, dict[int, str]]
"""Values (b, ...) of the next b rows, and why some of them, by row number, hold nothing of use."""


@dataclass(frozen=True)
class CachedRows:
    """`values` (n, ...), mapped from disk, read-only; `unusable` rows (row -> reason) mean nothing."""

    values: np.ndarray
    unusable: dict[int, str]


def cached_rows(
    folder: Path, n: int, make: Callable[[int], Iterable[Chunk]], *, title: str, progress: bool = True
) -> CachedRows:
    """Open the cache in `folder`, making first what is missing of its `n` rows.

    `make(start)` yields the rows from number `start` on, in order, any number at a time, all of one shape and
    dtype. One process builds, others wait for it. Raises PairscopeError when the disk is full.
    """
    with FileLock(folder.with_name(folder.name + ".lock")):
        if not folder.exists():
            part = folder.with_name(folder.name + ".part")
            part.mkdir(exist_ok=True)
            try:
                _append(part, n, make, title, progress)
            except OSError as error:
                raise PairscopeError(
                    f"Cannot write {part}: {error.strerror}. Make room, or let PAIRSCOPE_CACHE name a folder "
                    "on a larger disk, and repeat the command; what is done stays done."
                ) from error
            part.rename(folder)
    lines = (folder / UNUSABLE).read_text(encoding="utf-8").splitlines()
    unusable = {entry["row"]: entry["reason"] for entry in map(json.loads, lines)}
    return CachedRows(np.load(folder / ROWS, mmap_mode="r", allow_pickle=False), unusable)


def _append(part: Path, n: int, make: Callable[[int], Iterable[Chunk]], title: str, progress: bool) -> None:
    # Plain appends, no memory map: writing to a map of a file on a full disk kills the process.
    with (part / ROWS).open("ab+") as file, (part / UNUSABLE).open("a", encoding="utf-8") as notes:
        done = _rows_written(file)
        with Progress(disable=not progress) as bar:
            task = bar.add_task(title, total=n, completed=done)
            for values, unusable in make(done):
                if file.tell() == 0:
                    header = {"descr": npy.dtype_to_descr(values.dtype), "fortran_order": False}
                    npy.write_array_header_1_0(file, header | {"shape": (n, *values.shape[1:])})
                notes.writelines(
                    json.dumps({"row": row, "reason": why}) + "\n" for row, why in unusable.items()
                )
                notes.flush()
                file.write(np.ascontiguousarray(values).data)
                bar.advance(task, len(values))


def _rows_written(file: BinaryIO) -> int:
    """Cut a half-written row off the end and return how many whole ones there are."""
    file.seek(0)
    try:
        npy.read_magic(file)
        shape, _, dtype = npy.read_array_header_1_0(file)
    except ValueError:  # not even a whole header
        file.truncate(0)
        return file.seek(0)
    header, row = file.tell(), dtype.itemsize * int(np.prod(shape[1:]))
    rows = (file.seek(0, 2) - header) // row
    file.truncate(header + rows * row)
    file.seek(0, 2)
    return rows
