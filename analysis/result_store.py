"""Results that are computed once and cached as files."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from itr_core.system.files import whole_file

Arrays = Mapping[str, np.ndarray]


class ResultStore:
    """Tables and arrays by name, cached in memory and as `folder/name.key.parquet` or `.npz`.

    A file with another key, or one that cannot be read, is ignored, and is deleted when the result is written
    again. If the folder cannot be written, results are cached in memory only. If several threads request the
    same result, one computes it and the others wait.

    Args:
        folder: created when the first result is written; its parent must exist.
        key_of: name of a result -> a key that changes with everything that the result depends on.
    """

    def __init__(self, folder: Path, key_of: Callable[[str], str]) -> None:
        self.folder = folder
        self.key_of = key_of
        self._cache: dict[str, Any] = {}
        self._locks: dict[str, RLock] = defaultdict(RLock)

    def table(self, name: str, compute: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """Return the cached table, or compute and cache it. The caller gets a copy."""
        return self._once(name, ".parquet", compute, pd.read_parquet, _write_table).copy()

    def arrays(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """Return the cached arrays, or compute and cache them. Arrays read from a file are read-only."""
        return self._once(name, ".npz", compute, _read_arrays, _write_arrays)

    def known(self, name: str) -> bool:
        """Return whether the result is cached, in memory or as a file."""
        return name in self._cache or any(self.folder.glob(f"{name}.{self.key_of(name)}.*"))

    def in_memory(self) -> dict[str, Any]:
        """Return all results that are cached in memory."""
        return dict(self._cache)

    def add(self, results: Mapping[str, Any]) -> None:
        """Cache results in memory that another process computed and `in_memory` returned there."""
        for name, result in results.items():
            with self._locks[name]:
                self._cache.setdefault(name, result)

    def _once(
        self,
        name: str,
        suffix: str,
        compute: Callable[[], Any],
        read: Callable[[Path], Any],
        write: Callable[[Path, Any], None],
    ) -> Any:
        path = self.folder / f"{name}.{self.key_of(name)}{suffix}"
        with self._locks[name]:
            if name not in self._cache:
                try:
                    self._cache[name] = read(path)
                except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # missing or damaged
                    self._cache[name] = compute()
                    with suppress(OSError):  # a read-only folder, or a full disk
                        self.folder.mkdir(exist_ok=True)
                        with whole_file(path) as part:
                            write(part, self._cache[name])
                        for old in set(self.folder.glob(f"{name}.*{suffix}")) - {path}:
                            old.unlink()
            return self._cache[name]


def _write_table(path: Path, table: pd.DataFrame) -> None:
    table.to_parquet(path)


def _read_arrays(path: Path) -> Arrays:
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        arrays = dict(file)
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def _write_arrays(path: Path, arrays: Arrays) -> None:
    savez: Callable[..., None] = np.savez  # its type would take the arrays for its own options
    with path.open("wb") as file:
        savez(file, **arrays)
