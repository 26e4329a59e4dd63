"""Whose pictures a request may use: a random cookie names the visitor, and nobody else's are ever found."""

import logging
import secrets
import threading
import time
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import NamedTuple

from gradio.context import LocalContext

from analysis.gallery_analysis import GalleryAnalysis
from itr_core.errors import QueryError
from itr_core.retrieval.searcher import Searcher
from ui.web.boundary.uploads import UPLOADS
from ui.web.own.pictures import OwnPictures

log = logging.getLogger(__name__)

OWN = "your pictures"
"""Name of the gallery that every visitor may have; it is in no list."""
COOKIE = "pairscope_own"
MOST_VISITORS = 20
"""Most visitors whose pictures are stored at the same time."""
LIFETIME = 300.0
"""Seconds without use in which pictures are deleted; an open page asks for them every 20 seconds."""
LEAVING = 60.0
"""Seconds after a page was closed in which they are deleted, unless it was only reloaded, or another page of
the visitor is open."""
SWEEP_SECONDS = 5
GONE = (
    "Your own pictures are not on the server any more, or they are those of somebody else. Only the visitor "
    "who dropped them can search them, until the page is closed. Drop them again."
)


class FullError(Exception):
    """As many visitors as allowed have pictures on the server."""


class Visitors:
    """The pictures of all visitors of one server. Several threads may use one object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: dict[str, OwnPictures] = {}
        self._ends: dict[str, float] = {}  # visitor -> time at which the pictures are deleted
        self._sweeper: threading.Thread | None = None

    def begin(self, visitor: str) -> OwnPictures:
        """Return an empty set for a visitor, whose set before is removed.

        Raises:
            FullError: The server stores as many sets as it may.
        """
        with self._lock:  # in one step: two pages of the visitor may begin at the same time
            before = self._own.get(visitor)
            if before is None and len(self._own) >= MOST_VISITORS:
                raise FullError
            own = OwnPictures(_folder() / secrets.token_urlsafe(16))
            self._own[visitor] = own
            self._ends[visitor] = time.monotonic() + LIFETIME
            if self._sweeper is None:
                self._sweeper = threading.Thread(target=self._sweep_forever, name="own sweep", daemon=True)
                self._sweeper.start()
        if before:
            before.remove()
        return own

    def of(self, visitor: str) -> OwnPictures | None:
        """Return the pictures of a visitor, if there are any, and keep them for another `LIFETIME`."""
        with self._lock:
            own = self._own.get(visitor)
            if own:
                self._ends[visitor] = time.monotonic() + LIFETIME
            return own

    def leave(self, visitor: str) -> None:
        """Record that a page of the visitor was closed or reloaded."""
        with self._lock:
            if visitor in self._own:
                self._ends[visitor] = time.monotonic() + LEAVING

    def remove(self, visitor: str) -> None:
        """Delete the pictures of a visitor."""
        with self._lock:
            own = self._own.pop(visitor, None)
            self._ends.pop(visitor, None)
        if own:
            own.remove()

    def sweep(self) -> None:
        """Delete the pictures whose time has come."""
        now = time.monotonic()
        with self._lock:
            ended = [visitor for visitor, end in self._ends.items() if now > end]
        for visitor in ended:
            self.remove(visitor)

    def _sweep_forever(self) -> None:
        while True:
            time.sleep(SWEEP_SECONDS)
            try:
                self.sweep()
            except Exception:
                log.exception("Old pictures of a visitor could not be deleted.")


def visitor_of(cookies: str) -> str:
    """Return the visitor whom the header `Cookie` names; "" if none."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(cookies)
    except CookieError:
        return ""
    return jar[COOKIE].value if COOKIE in jar else ""


class OwnGallery(NamedTuple):
    """A gallery of a visitor's own pictures that can be searched."""

    searcher: Searcher
    analysis: GalleryAnalysis
    photos: int


def own_of_event() -> OwnGallery:
    """Return the gallery of the visitor whose event is being handled.

    Raises:
        QueryError: The visitor has none, or they are not embedded yet.
    """
    request = LocalContext.request.get(None)
    visitor = visitor_of(dict(request.headers).get("cookie", "")) if request is not None else ""
    own = VISITORS.of(visitor) if visitor else None
    if own is None:
        raise QueryError(GONE)
    if own.searcher is None or own.analysis is None:
        raise QueryError("Your pictures are still being embedded. Wait until this is finished.")
    return OwnGallery(own.searcher, own.analysis, own.photos)


def _folder() -> Path:
    """Return the folder of all visitors' pictures, which is deleted with the uploads when the server ends."""
    return UPLOADS.folder / "own"


VISITORS = Visitors()
"""The visitors of this process, which serves one app."""
