"""Atomic writes of files and folders, hashes of files, and the cache folder."""

import atexit
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp

from platformdirs import user_cache_dir

log = logging.getLogger(__name__)


def cache_dir(name: str) -> Path:
    """Return the folder `name` of the cache, and create it if it does not exist.

    The cache is the user's cache folder for Pairscope, or the folder named by the environment variable
    `PAIRSCOPE_CACHE`. Its contents can always be computed again. If it cannot be written, this process and
    those that it starts use a temporary folder.
    """
    root = Path(os.environ.get("PAIRSCOPE_CACHE") or user_cache_dir("pairscope"))
    try:
        (root / name).mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=root / name).close()
    except OSError as error:
        log.warning(
            "The cache folder %s cannot be written (%s). What would be kept there is computed again next "
            "time; the environment variable PAIRSCOPE_CACHE names another folder.",
            root,
            error.strerror,
        )
        root = Path(mkdtemp(prefix="pairscope-"))
        atexit.register(shutil.rmtree, root, ignore_errors=True)
        os.environ["PAIRSCOPE_CACHE"] = str(root)
        (root / name).mkdir()
    return root / name


def sha256(path: Path) -> str:
    """Return the hex SHA-256 digest of the bytes of one file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file atomically.

    Yields a temporary path in the same folder. If the block succeeds, the temporary file is flushed to disk
    and renamed to `path`; if it raises, the temporary file is deleted and `path` stays unchanged.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def replace_folder(new: Path, old: Path) -> None:
    """Rename the finished folder `new` to `old`, and delete the previous `old` if there was one."""
    retired = old.with_name(f".{old.name}.{os.getpid()}.old")
    if old.exists():
        old.rename(retired)
    new.rename(old)
    shutil.rmtree(retired, ignore_errors=True)
