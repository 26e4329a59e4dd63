"""Results that are computed once and kept as files."""

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
    """Tables and arrays by name, in memory and as `folder/name.key.parquet` or `.npz`.

    `key_of(name)` stands for everything that a result depends on. A file with another key, or one that cannot
    be read, is ignored, and is deleted when the result is written again. Where the folder cannot be written,
    results are cached in memory only. If several threads ask for the same result, one computes it and the
    others wait.
    """

    def __init__(self, folder: Path, key_of: Callable[[str], str]) -> None:
        self.folder = folder
        self.key_of = key_of
        self._here: dict[str, Any] = {}
        self._locks: dict[str, RLock] = defaultdict(RLock)

    def table(self, name: str, compute: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """What `compute` returned; changing it changes nobody else's."""
        return self._once(name, ".parquet", compute, pd.read_parquet, _write_table).copy()

    def arrays(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """What `compute` returned, read-only."""
        return self._once(name, ".npz", compute, _read_arrays, _write_arrays)

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
            if name not in self._here:
                try:
                    self._here[name] = read(path)
                except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # not there, or damaged
                    self._here[name] = compute()
                    with suppress(OSError):  # a folder that is read-only, or a full disk
                        self.folder.mkdir(exist_ok=True)
                        with whole_file(path) as part:
                            write(part, self._here[name])
                        for old in set(self.folder.glob(f"{name}.*{suffix}")) - {path}:
                            old.unlink()
            return self._here[name]


def _write_table(path: Path, table: pd.DataFrame) -> None:
    table.to_parquet(path)


def _read_arrays(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def _write_arrays(path: Path, arrays: Arrays) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
