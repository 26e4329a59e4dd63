"""Thumbnails that are not in the folder of their gallery, but in an object store or in another folder."""

import logging
import os
import re
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from urllib.parse import urlsplit

import fsspec
import httpx

from itr_core.errors import GalleryError, ImageError
from itr_core.gallery.manifest import THUMBNAILS, Stamp

log = logging.getLogger(__name__)

SECONDS = 3.0
"""How long a thumbnail is waited for."""
REST_SECONDS = 5.0
"""How long a store is not asked after it was away: visitors would wait for each thumbnail of a page."""
CACHE_BYTES = 64 << 20
"""Content that is kept in memory: 5,000 thumbnails of usual size."""
AT_ONCE = 16
_NAME = re.compile(rf"{THUMBNAILS}/((?:[\w-]+/)*[\w-]+\.\w+)", re.ASCII)
"""Names that a build gives; any other, such as one with `..`, could lead out of the prefix."""


class _WrongFileError(ImageError):
    """The store answers, but not with the thumbnail."""


class ThumbnailStore:
    """Files under a prefix, which are compared with a manifest; several threads may use one store.

    Only who opens a gallery names the prefix: nothing in a gallery does.

    Args:
        prefix: what the folder `thumbnails` has become: https://HOST/PATH, a path, or the address of another
            file system of fsspec, such as s3://BUCKET/PATH with s3fs.
        files: the stamps of a manifest, by name.

    Raises:
        GalleryError: The prefix cannot be used.
    """

    def __init__(self, prefix: str, files: Mapping[str, Stamp]) -> None:
        self._prefix = prefix.rstrip("/")
        self._files = files
        self._fetch = _of_address(self._prefix) if _is_http(prefix) else _of_filesystem(self._prefix)
        self._workers = ThreadPoolExecutor(AT_ONCE, "thumbnails")
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached_bytes = 0
        self._rests_until = self._silent_until = 0.0

    def read(self, name: str) -> bytes:
        """Return the content of a thumbnail.

        Args:
            name: as in the manifest.

        Raises:
            ImageError: The gallery has no such thumbnail, or the store does not answer in time or has another
                file. The message, which visitors can see, does not name the store; the log does.
        """
        found, stamp = _NAME.fullmatch(name), self._files.get(name)
        if found is None or stamp is None:
            raise ImageError(f"{name} is no thumbnail of this gallery")
        with self._lock:
            if name in self._cache:
                self._cache.move_to_end(name)
                return self._cache[name]
            if time.monotonic() < self._rests_until:
                raise ImageError(f"{name} is away: the store of the thumbnails does not answer")
        task = self._workers.submit(self._fetch, found[1])
        try:
            content = task.result(SECONDS)
        except FileNotFoundError:
            raise self._failure(name, "has no such file", _WrongFileError) from None
        except PermissionError:  # S3 says so of files that are not there, too
            raise self._failure(name, "refuses to give this file", _WrongFileError) from None
        except Exception as error:  # of fsspec, its file systems and httpx, or the time limit
            task.cancel()
            with self._lock:
                self._rests_until = time.monotonic() + REST_SECONDS
            why = " ".join(str(error).split())[:300]
            late = isinstance(error, TimeoutError | httpx.TimeoutException)
            reason = "did not answer in time" if late else f"failed ({why})"
            raise self._failure(name, reason) from error
        if (len(content), sha256(content).hexdigest()) != (stamp.size, stamp.sha256):
            raise self._failure(name, "has another file than the gallery's manifest lists", _WrongFileError)
        self._keep(name, content)
        return content

    def check(self) -> None:
        """Read the first and the last thumbnail, so that a wrong prefix is told at once.

        A store that does not answer is only named in the log: it is asked again when a thumbnail is needed.

        Raises:
            GalleryError: The store answers, and has neither.
        """
        names = [name for name in self._files if _NAME.fullmatch(name)]
        self._silent_until = time.monotonic() + REST_SECONDS  # what is wrong is raised
        for name in dict.fromkeys((*names[:1], *names[-1:])):
            try:
                self.read(name)
                return
            except _WrongFileError as error:
                wrong = error
            except ImageError as error:
                log.warning("%s gives no thumbnails now: %s.", self._prefix, error)
                return
        if names:
            raise GalleryError(
                f"{self._prefix} is not where the thumbnails are. {wrong}. The prefix stands for the folder "
                f"{THUMBNAILS} of the gallery: {names[0].removeprefix(THUMBNAILS + '/')} must follow it."
            )

    def _keep(self, name: str, content: bytes) -> None:
        with self._lock:
            self._cached_bytes += len(content) - len(self._cache.pop(name, b""))
            self._cache[name] = content
            while self._cached_bytes > CACHE_BYTES:
                self._cached_bytes -= len(self._cache.popitem(last=False)[1])

    def _failure(self, name: str, reason: str, kind: type[ImageError] = ImageError) -> ImageError:
        with self._lock:
            silent = time.monotonic() < self._silent_until
            if not silent:
                self._silent_until = time.monotonic() + REST_SECONDS
        if not silent:  # not for every thumbnail of a page
            log.warning("%s: the store of thumbnails %s %s.", name, self._prefix, reason)
        return kind(f"{name} is away: the store of the thumbnails {reason.partition(' (')[0]}")


def _is_http(prefix: str) -> bool:
    return prefix.lower().startswith(("http://", "https://"))


def _of_address(prefix: str) -> Callable[[str], bytes]:
    parts = urlsplit(prefix)
    if "@" in parts.netloc or parts.query or parts.fragment or not parts.hostname:
        raise GalleryError(
            f"The address of thumbnails on {parts.hostname or 'no host'} must be https://HOST/PATH: a user "
            "or password would be in the log, and the name of a file cannot follow a query or fragment."
        )
    client = httpx.Client(
        timeout=SECONDS, follow_redirects=True, limits=httpx.Limits(max_connections=AT_ONCE)
    )

    def fetch(name: str) -> bytes:
        answer = client.get(f"{prefix}/{name}")
        if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
            raise FileNotFoundError(name)
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise PermissionError(name)
        return answer.raise_for_status().content

    weakref.finalize(fetch, client.close)
    return fetch


def _of_filesystem(prefix: str) -> Callable[[str], bytes]:
    try:
        filesystem, root = fsspec.core.url_to_fs(os.path.expanduser(prefix))
    except (ImportError, ValueError) as error:
        raise GalleryError(
            f"Thumbnails cannot be read from {prefix!r}: {error}. Name https://HOST/PATH, a folder, or an "
            "address of a file system that fsspec can open, such as s3://BUCKET/PATH after pip install s3fs."
        ) from error

    def fetch(name: str) -> bytes:
        return bytes(filesystem.cat_file(f"{root}/{name}"))

    return fetch
