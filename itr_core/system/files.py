"""Atomic writes of files and folders, hashes of files, and the cache folder."""

import atexit
import ctypes
import hashlib
import logging
import os
import re
import shutil
import sys
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp

import psutil
from platformdirs import user_cache_dir

from itr_core.errors import DISK_FULL, NOT_ALLOWED, PairscopeError, WriteError

log = logging.getLogger(__name__)

_PROBE = 1_000_000
"""Bytes that are written to find out whether a disk is full."""
_temporary_caches: dict[Path, WriteError] = {}
"""The temporary folder that this process uses as the cache, and why."""


def cache_dir(name: str, *, lasting: bool = False) -> Path:
    """Return the folder `name` of the cache, and create it if it does not exist.

    The cache is the user's cache folder for Pairscope, or the folder named by the environment variable
    `PAIRSCOPE_CACHE`. Its contents can always be computed again. If it cannot be written, this process and
    those that it starts use a temporary folder.

    Args:
        name: of the folder.
        lasting: use no temporary folder, because what is written must be there after this process.

    Raises:
        WriteError: `lasting` is set, and the cache cannot be written.
    """
    root = Path(os.environ.get("PAIRSCOPE_CACHE") or user_cache_dir("pairscope"))
    if lasting and root in _temporary_caches:
        raise _temporary_caches[root]
    try:
        (root / name).mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=root / name).close()
    except OSError as error:
        reason = WriteError(error.errno, error.strerror, str(root))
        if lasting:
            raise reason from error
        log.warning(
            "The cache folder %s cannot be written (%s). What would be kept there is computed again next "
            "time; the environment variable PAIRSCOPE_CACHE names another folder.",
            root,
            error.strerror,
        )
        root = Path(mkdtemp(prefix="pairscope-"))
        _temporary_caches[root] = reason
        atexit.register(shutil.rmtree, root, ignore_errors=True)
        os.environ["PAIRSCOPE_CACHE"] = str(root)
        (root / name).mkdir()
    return root / name


def sha256(path: Path) -> str:
    """Return the hex SHA-256 digest of the bytes of one file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Explain why the block cannot write a file or folder.

    Libraries raise errors of many types when a disk is full. After an error without a number of the operating
    system, the disk counts as full if it has no room for another megabyte.

    Args:
        path: what is written; the block writes into its parent folder only.

    Raises:
        WriteError: The disk is full, or writing is not allowed. Other errors are raised unchanged.
    """
    try:
        yield
    except PairscopeError:
        raise
    except Exception as error:
        if not (number := _refusal(error, path)):
            raise
        raise WriteError(number, os.strerror(number), str(path)) from error


def _refusal(error: Exception, path: Path) -> int | None:
    """Return the number of an error of writing `path`, or None if the error has another cause."""
    folder = path.absolute().parent
    if isinstance(error, OSError) and error.errno:
        named = Path(error.filename).absolute() if error.filename else folder
        here = named.is_relative_to(folder) or folder.is_relative_to(named)
        return error.errno if here and error.errno in DISK_FULL | NOT_ALLOWED else None
    try:
        with TemporaryFile(dir=path if path.is_dir() else folder) as probe:
            probe.write(bytes(_PROBE))
    except OSError as refused:
        return refused.errno if refused.errno in DISK_FULL else None
    return None


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file atomically; its folder is made if it is missing.

    Yields a temporary path in the same folder. If the block succeeds, the temporary file is flushed to disk
    and renamed to `path`; if it raises, the temporary file is deleted and `path` stays unchanged. The file
    gets the permissions of any new file, also if a library writes it with stricter ones.

    Raises:
        WriteError: See `writing`.
    """
    sweep(path.parent, path.name)
    part = temporary(path)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            part.touch()
            mode = part.stat().st_mode
            yield part
            part.chmod(mode)
            _flush(part)
            part.replace(path)
            _flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


def temporary(path: Path) -> Path:
    """Return the path beside `path` under which this process may write before it renames to `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def sweep(folder: Path, name: str | None = None) -> None:
    """Delete what processes that have ended left unfinished in a folder.

    If such a process was replacing a folder by two renames (see `replace_folder`) and ended between them, the
    previous folder gets its name back.

    Args:
        folder: searched without its subfolders; it may be missing or read-only.
        name: consider only what was to become this file or folder; by default, everything.
    """
    pattern = re.compile(rf"\.({re.escape(name) if name else '.+'})\.(\d+)\.(part|old)", re.DOTALL)
    with suppress(OSError):
        for path in folder.iterdir():
            if not (match := pattern.fullmatch(path.name)) or psutil.pid_exists(int(match[2])):
                continue
            if match[3] == "old" and not (folder / match[1]).exists():
                path.rename(folder / match[1])
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def replace_folder(new: Path, old: Path) -> None:
    """Flush the finished folder `new` to disk, rename it to `old`, and delete the previous `old`, if any.

    On Linux and macOS, two folders are exchanged in one step, so `old` exists at every moment. Elsewhere it
    is missing between two renames.
    """
    _flush_folder(new)
    if not old.exists():
        new.rename(old)
    elif not _exchange(new, old):
        retired = old.with_name(f".{old.name}.{os.getpid()}.old")
        old.rename(retired)
        try:
            new.rename(old)
        except OSError:
            retired.rename(old)
            raise
        shutil.rmtree(retired, ignore_errors=True)
    _flush(old.parent)
    shutil.rmtree(new, ignore_errors=True)  # the previous folder, after an exchange


def merge_folder(new: Path, old: Path, *, last: str, without: Collection[str] = ()) -> None:
    """Replace files of the folder `old` by those of the finished folder `new`; the other files stay.

    Where the file system has hard links, the other files get a second name in `new`, which then replaces
    `old` (see `replace_folder`). Elsewhere, and where `old` cannot be renamed, because it is in use or this
    process works inside it, files are replaced one by one: `last` is deleted first and written last, so a
    folder that has this file is complete.

    Args:
        new: a folder with files only, on the same file system.
        old: need not exist; no symbolic link.
        last: name of a file of `new`.
        without: names of files of `old` that are deleted.
    """
    names = [path.name for path in new.iterdir() if path.name != last]
    old.mkdir(parents=True, exist_ok=True)
    if not (Path.cwd().is_relative_to(old) or new.is_relative_to(old)):
        with suppress(OSError):
            for path in old.iterdir():
                if path.name not in without and not (new / path.name).exists():
                    _link(path, new / path.name)
            replace_folder(new, old)
            return
    _flush_folder(new)
    (old / last).unlink(missing_ok=True)
    for name in [*names, last]:
        (new / name).replace(old / name)
    for name in set(without) - {*names, last}:
        (old / name).unlink(missing_ok=True)
    _flush(old)


def _link(path: Path, copy: Path) -> None:
    """Give a file, or all files of a folder, a second name; an open file stays the same file."""
    if path.is_dir():
        shutil.copytree(path, copy, copy_function=os.link)
    else:
        os.link(path, copy, follow_symlinks=False)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step; return False where the system cannot do that."""
    names = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux":
        call = getattr(ctypes.CDLL(None), "renameat2", None)
        arguments: tuple[bytes | int, ...] = (-100, names[0], -100, names[1], 2)  # AT_FDCWD, RENAME_EXCHANGE
    elif sys.platform == "darwin":
        call = getattr(ctypes.CDLL(None), "renamex_np", None)
        arguments = (*names, 2)  # RENAME_SWAP
    else:
        return False
    return call is not None and call(*arguments) == 0


def _flush_folder(folder: Path) -> None:
    """Flush a folder with everything in it.

    A file with a second name is left out: under its first name, in another folder, it was flushed before.
    """
    unflushed = [path for path in folder.rglob("*") if path.is_dir() or path.stat().st_nlink == 1]
    with ThreadPoolExecutor() as pool:  # a disk flushes many files at a time almost as fast as one
        list(pool.map(_flush, [*unflushed, folder]))


def _flush(path: Path) -> None:
    """Write the content of a file, or the names in a folder, from the system's memory to disk."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
