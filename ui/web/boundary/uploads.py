"""Uploaded pictures: a request names one by its key, never by a path of the server."""

import atexit
import os
import secrets
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from itr_core.errors import QueryError

FILE_BYTES = 25 * 2**20
"""Largest upload in bytes."""
VISITOR_BYTES = 100 * 2**20
"""Most bytes that are stored for one visitor; the oldest uploads make room for new ones."""
VISITOR_FILES = 100
"""Most files that are stored for one visitor."""
ALL_BYTES = 2 * 2**30
"""Most bytes that are stored for all visitors together."""
LIFETIME = 1800.0
"""Seconds after its last use in which an upload is deleted, if its session does not end before."""
SCRATCH_LIFETIME = 60.0
"""Seconds in which a file of the scratch folder is deleted."""

_PREFIX = "pairscope-uploads-"


class UploadsFullError(Exception):
    """The server stores as many uploads as it may."""


@dataclass
class _Upload:
    path: Path
    visitor: str
    size: int
    used: float
    sessions: set[str] = field(default_factory=set)


class Uploads:
    """The uploads of one server, in a temporary folder that only its user can read.

    A key is a random token and the name of the file. Only keys that `add` returned are ever opened, so that
    what a request sends is not used as a path. Several threads may use one object.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uploads: dict[str, _Upload] = {}  # oldest first
        self._arriving: dict[str, int] = {}  # bytes that visitors are sending now
        self._folder: Path | None = None
        self._process = os.getpid()

    @property
    def folder(self) -> Path:
        """The folder of all uploads, which is created when it is first needed."""
        with self._lock:
            if self._folder is None:
                _sweep_leftovers()
                self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")).resolve()
            return self._folder

    @property
    def scratch(self) -> Path:
        """The folder for files that are needed only while one request is answered."""
        return self.folder / "scratch"

    @contextmanager
    def arriving(self, visitor: str, size: int) -> Iterator[Path]:
        """Make room for `size` bytes and yield an empty folder for them.

        When the block exits, the files that it did not `add` are deleted.

        Raises:
            UploadsFullError: the visitor, or all visitors together, send too much at once.
        """
        with self._lock:
            self._make_room(visitor, size)
            self._arriving[visitor] = self._arriving.get(visitor, 0) + size
        folder = self.folder / secrets.token_urlsafe(16)
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            with self._lock:
                self._arriving[visitor] -= size
                if not self._arriving[visitor]:
                    del self._arriving[visitor]
                added = {each.path for each in self._uploads.values()}
            for path in [*sorted(folder.rglob("*"), reverse=True), folder]:  # a form can hold other files
                if path not in added:
                    with suppress(OSError):
                        path.rmdir() if path.is_dir() else path.unlink()

    def add(self, visitor: str, path: Path) -> str:
        """Register a file in a folder of `arriving`; return its key."""
        key = f"{secrets.token_urlsafe(16)}/{path.name}"
        with self._lock:
            self._uploads[key] = _Upload(path, visitor, path.stat().st_size, time.monotonic())
            for oldest in self._of(visitor)[:-VISITOR_FILES]:
                self._delete(oldest)
        return key

    def __contains__(self, key: str) -> bool:
        return key in self._uploads

    def read(self, key: str) -> bytes:
        """Return the content of an upload.

        Raises:
            QueryError: there is no such upload. The message is the same for every key.
        """
        with self._lock:
            upload = self._uploads.get(key)
            if upload:
                upload.used = time.monotonic()
        content = read_regular_file(upload.path, FILE_BYTES) if upload else None
        if content is None:
            raise QueryError(
                "This picture is not among the uploads of this app, or no longer. Upload it again."
            )
        return content

    def claim(self, keys: Iterable[str], session: str) -> None:
        """Record that a session uses uploads: they are deleted when all of their sessions have ended."""
        with self._lock:
            for key in keys:
                if upload := self._uploads.get(key):
                    upload.sessions.add(session)
                    upload.used = time.monotonic()

    def end(self, session: str) -> None:
        """Delete the uploads that no other session uses."""
        with self._lock:
            for key, upload in list(self._uploads.items()):
                if session in upload.sessions:
                    upload.sessions.remove(session)
                    if not upload.sessions:
                        self._delete(key)

    def sweep(self) -> None:
        """Delete the uploads and files of the scratch folder that have reached their lifetime."""
        with self._lock:
            for key, upload in list(self._uploads.items()):
                if time.monotonic() - upload.used > LIFETIME:
                    self._delete(key)
        for path in self.scratch.rglob("*"):
            with suppress(OSError):
                if path.is_file() and time.time() - path.stat().st_mtime > SCRATCH_LIFETIME:
                    path.unlink()

    def clear(self) -> None:
        """Delete all uploads and their folder, unless a forked process calls this."""
        if self._process != os.getpid():
            return
        with self._lock:
            self._uploads.clear()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def clear_at_exit(self) -> None:
        """Call `clear` when the process ends, also by SIGTERM, at which Python does not clean up."""
        atexit.register(self.clear)
        if threading.current_thread() is not threading.main_thread():
            return
        before = signal.getsignal(signal.SIGTERM)

        def end(number: int, frame: object) -> None:
            self.clear()
            signal.signal(number, before)
            signal.raise_signal(number)

        signal.signal(signal.SIGTERM, end)

    def _make_room(self, visitor: str, size: int) -> None:
        """Delete the oldest uploads of a visitor until another `size` bytes are allowed."""
        own = self._of(visitor)
        taken = size + self._arriving.get(visitor, 0) + sum(self._uploads[key].size for key in own)
        while own and taken > VISITOR_BYTES:
            taken -= self._uploads[own[0]].size
            self._delete(own.pop(0))
        everything = sum(each.size for each in self._uploads.values()) + sum(self._arriving.values())
        if taken > VISITOR_BYTES or size + everything > ALL_BYTES:
            raise UploadsFullError

    def _of(self, visitor: str) -> list[str]:
        """Return the keys of a visitor's uploads, oldest first."""
        return [key for key, each in self._uploads.items() if each.visitor == visitor]

    def _delete(self, key: str) -> None:
        path = self._uploads.pop(key).path
        path.unlink(missing_ok=True)
        with suppress(OSError):  # other uploads of the same request are in the folder
            path.parent.rmdir()
            path.parent.parent.rmdir()


def read_regular_file(path: Path, most: int) -> bytes | None:
    """Return the bytes of a regular file of at most `most` bytes; None for anything else.

    A link is not followed, and a pipe or device is not waited for.
    """
    flags = (getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))  # not all on Windows
    try:
        descriptor = os.open(path, os.O_RDONLY | sum(flags))
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(most + 1)
    finally:
        os.close(descriptor)
    return content if len(content) <= most else None


def _sweep_leftovers() -> None:
    """Delete the uploads of servers that were killed."""
    if not hasattr(os, "getuid"):  # Windows, where signal 0 would end the process
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        process = folder.name.removeprefix(_PREFIX).partition("-")[0]
        try:
            own = folder.stat().st_uid == os.getuid() and not folder.is_symlink()
            if own and process.isdecimal():
                os.kill(int(process), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (OSError, OverflowError):
            continue


UPLOADS = Uploads()
"""The uploads of this process, which serves one app."""
