"""Files and folders written whole or not at all, and their fingerprints."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_dir


def cache_dir(name: str) -> Path:
    """Return (and make) a folder for things that can be made again; `PAIRSCOPE_CACHE` moves it."""
    folder = Path(os.environ.get("PAIRSCOPE_CACHE") or user_cache_dir("pairscope")) / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sha256(path: Path) -> str:
    """Hex digest of one file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes `path`'s place only if the block succeeds."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def replace_folder(new: Path, old: Path) -> None:
    """Put the finished folder `new` in the place of `old` (which may not exist yet)."""
    retired = old.with_name(f".{old.name}.{os.getpid()}.old")
    if old.exists():
        old.rename(retired)
    new.rename(old)
    shutil.rmtree(retired, ignore_errors=True)
