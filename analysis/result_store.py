"""Results that are computed once and cached as files."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from threading import RLock
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from itr_core.system.files import sweep, whole_file

Arrays = Mapping[str, np.ndarray]

log = logging.getLogger(__name__)


class ResultStore:
    """Tables and arrays by name, cached in memory and as `folder/name.key.digest.parquet` or `.npz`.

    The digest is that of the content. A file whose content has changed is deleted, with a warning in the log,
    and its result is computed again. Files with another key are deleted when the result is written again. If
    the folder cannot be written, results are cached in memory only. If several threads request the same
    result, one computes it and the others wait.

    Args:
        folder: created when the first result is written; its parent must exist.
        key_of: name of a result -> a key that changes with everything that the result depends on.
        ready_made: where results are looked up that `folder` does not hold; nothing is written there.
    """

    def __init__(
        self, folder: Path, key_of: Callable[[str], str], ready_made: "ResultStore | None" = None
    ) -> None:
        self.folder = folder
        self.key_of = key_of
        self.ready_made = ready_made
        self._cache: dict[str, Any] = {}
        self._locks: dict[str, RLock] = defaultdict(RLock)
        sweep(folder)

    def table(self, name: str, compute: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """Return the cached table, or compute and cache it. The caller gets a copy."""
        return self._once(name, ".parquet", compute, pd.read_parquet, _write_table).copy()

    def arrays(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """Return the cached arrays, or compute and cache them. Arrays read from a file are read-only."""
        return self._once(name, ".npz", compute, _read_arrays, _write_arrays)

    def known(self, name: str) -> bool:
        """Return whether the result is cached, in memory or as a file."""
        if name in self._cache or any(self.folder.glob(f"{name}.{self.key_of(name)}.*")):
            return True
        return self.ready_made is not None and self.ready_made.known(name)

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
        read: Callable[[BinaryIO], Any],
        write: Callable[[BinaryIO, Any], None],
    ) -> Any:
        with self._locks[name]:
            if name not in self._cache:
                content = self._stored(name, suffix)
                self._cache[name] = compute() if content is None else read(content)
                if content is None:
                    content = BytesIO()
                    write(content, self._cache[name])
                    with suppress(OSError):  # a read-only folder, or a full disk
                        self._write(name, suffix, content.getvalue())
            return self._cache[name]

    def _stored(self, name: str, suffix: str) -> BinaryIO | None:
        """Return the content of the file of a result, if there is one and it is as it was written."""
        for path in self.folder.glob(f"{name}.{self.key_of(name)}.*{suffix}"):
            with suppress(OSError):
                content = path.read_bytes()
                if path.name.endswith(f".{_digest(content)}{suffix}"):
                    return BytesIO(content)
                log.warning("The cached result %s is damaged; it is computed again.", path)
                path.unlink()
        return self.ready_made._stored(name, suffix) if self.ready_made else None

    def _write(self, name: str, suffix: str, content: bytes) -> None:
        path = self.folder / f"{name}.{self.key_of(name)}.{_digest(content)}{suffix}"
        self.folder.mkdir(exist_ok=True)
        with whole_file(path) as part:
            part.write_bytes(content)
        for old in set(self.folder.glob(f"{name}.*{suffix}")) - {path}:
            old.unlink()


def key(*parts: str) -> str:
    """Return a key of the parts: 16 hexadecimal digits of their SHA-256 digest."""
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _write_table(file: BinaryIO, table: pd.DataFrame) -> None:
    table.to_parquet(file)


def _read_arrays(file: BinaryIO) -> Arrays:
    with np.load(file, allow_pickle=False) as arrays:
        read = dict(arrays)
    for array in read.values():
        array.flags.writeable = False
    return read


def _write_arrays(file: BinaryIO, arrays: Arrays) -> None:
    savez: Callable[..., None] = np.savez_compressed  # its type would take the arrays for its own options
    savez(file, **arrays)
