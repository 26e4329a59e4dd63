"""Expensive rows (rendered or decoded images, trunk features), computed once and cached on disk.

A cache is a folder with `rows.npy`, `unusable.jsonl` and `sha256.json`, the digests of both. Rows are
appended in order, so an interrupted build resumes after the last complete row. The folder gets its final name
when it is complete. A cache whose files have changed since then is made again.
"""

import json
import logging
import math
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from rich.progress import Progress

from itr_core.system.files import replace_folder, sha256, writing
from itr_core.system.npy import append_rows, truncate_to_whole_rows

ROWS, UNUSABLE, DIGESTS = "rows.npy", "unusable.jsonl", "sha256.json"

log = logging.getLogger(__name__)

Chunk = tuple[np.ndarray, dict[int, str]]
"""Values (b, ...) of the next b rows, and the unusable ones among them: row number -> reason."""


@dataclass(frozen=True)
class CachedRows:
    """A complete cache."""

    values: np.ndarray
    """(n, ...), mapped from disk, read-only."""
    unusable: dict[int, str]
    """Row number -> reason. The values of these rows have no meaning."""


def cached_rows(
    folder: Path, n: int, make: Callable[[int], Iterable[Chunk]], *, title: str, progress: bool = True
) -> CachedRows:
    """Open a cache; if it is missing or incomplete, compute the missing rows first.

    One process computes; others that need the same cache wait for it. A damaged cache is computed again, and
    a warning is logged. Caches of version 0.2, which have no digests, are opened unchecked.

    Args:
        folder: the cache.
        n: number of rows of the complete cache.
        make: yields the rows from a given row number on, in order, in chunks of any size. All chunks have the
            same trailing shape and dtype.
        title: label of the progress bar.
        progress: show a progress bar.

    Raises:
        WriteError: The folder cannot be written, for example because the disk is full. After that, the
            computation resumes where it stopped.
    """
    with FileLock(folder.with_name(folder.name + ".lock")):
        if folder.exists() and not _is_whole(folder):
            log.warning("The cache %s is damaged; it is computed again.", folder)
            shutil.rmtree(folder)
        if not folder.exists():
            part = folder.with_name(folder.name + ".part")
            part.mkdir(exist_ok=True)
            with writing(folder):
                _append_missing(part, n, make, title, progress)
                _write_digests(part)
                replace_folder(part, folder)
    lines = (folder / UNUSABLE).read_text(encoding="utf-8").splitlines()
    unusable = {entry["row"]: entry["reason"] for entry in map(json.loads, lines)}
    return CachedRows(np.load(folder / ROWS, mmap_mode="r", allow_pickle=False), unusable)


def missing_bytes(folder: Path, n: int, shape: tuple[int, ...]) -> int:
    """Return how many bytes a cache of n rows of uint8 (n, *shape) lacks until it is complete."""
    if folder.exists():
        return 0
    part = folder.with_name(folder.name + ".part") / ROWS
    return n * math.prod(shape) - (part.stat().st_size if part.exists() else 0)


def _is_whole(folder: Path) -> bool:
    try:
        digests = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
        return digests == _digests(folder)
    except FileNotFoundError:
        return (folder / ROWS).is_file() and (folder / UNUSABLE).is_file()
    except (OSError, ValueError):
        return False


def _write_digests(folder: Path) -> None:
    (folder / DIGESTS).write_text(json.dumps(_digests(folder)), encoding="utf-8")


def _digests(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in (ROWS, UNUSABLE)}


def _append_missing(
    part: Path, n: int, make: Callable[[int], Iterable[Chunk]], title: str, progress: bool
) -> None:
    with (part / ROWS).open("ab+") as file, (part / UNUSABLE).open("a", encoding="utf-8") as reasons:
        done = truncate_to_whole_rows(file)
        with Progress(disable=not progress) as bar:
            task = bar.add_task(title, total=n, completed=done)
            for values, unusable in make(done):
                reasons.writelines(
                    json.dumps({"row": row, "reason": why}) + "\n" for row, why in unusable.items()
                )
                reasons.flush()
                append_rows(file, values, n)
                bar.advance(task, len(values))
