"""Verdicts of visitors on misses: whose they are, where they are stored, and their export.

A verdict belongs to the visitor, whom a random cookie tells apart, or to a session: a name that a teacher
chooses and gives to a class, whose members then share their verdicts.
"""

import hashlib
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http.cookies import CookieError, SimpleCookie
from math import ceil
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from gradio.context import LocalContext
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from analysis.gallery_analysis import GalleryAnalysis
from analysis.misses.verdicts import JUDGEMENTS, TAKEN_BACK, Miss, VerdictFile
from itr_core.errors import QueryError
from itr_core.gallery import Gallery
from itr_core.gallery.build import VERDICTS
from ui.web import html
from ui.web.boundary.rates import Rate, TokenBuckets
from ui.web.boundary.served import gallery_named, name_of

RATE = Rate(per_second=1, burst=30)
"""Verdicts of one visitor."""
SESSION_NAME = range(4, 41)
"""Numbers of characters of a session's name."""
YEAR = 365 * 24 * 3600

_VISITOR, _SESSION = "pairscope_visitor", "pairscope_session"
_buckets = TokenBuckets(RATE)


@dataclass
class Settings:
    """Settings of the served app: whether visitors can give verdicts."""

    on: bool = True


SETTINGS = Settings()


class Owner(NamedTuple):
    """Whose verdicts a request gives and sees.

    Attributes:
        visitor: Of the visitor, from whom the limit of the rate is counted.
        session: Name of the session, or "".
    """

    visitor: str = ""
    session: str = ""

    @property
    def key(self) -> str:
        """The owner in the file of verdicts."""
        return f"session:{self.session}" if self.session else self.visitor


def current_owner() -> Owner:
    """Return the owner of the event that is being handled; outside of an event, the one without a name."""
    request = LocalContext.request.get(None)
    if request is None:
        return Owner()
    return _owner(dict(request.headers), str(request.session_hash))


def saved(analysis: GalleryAnalysis) -> tuple[str, dict[Miss, str]]:
    """Return a summary of the verdicts with a download link, and the last verdict on each miss.

    Verdicts of version 0.2 and before have no owner, and are shown to everybody.
    """
    if not SETTINGS.on:
        return "", {}
    owner, file = current_owner(), _file_of(analysis.gallery)
    try:
        verdicts = file.of(dict.fromkeys(["", owner.key]), _fingerprints(analysis.gallery))
    except OSError as error:
        return html.note(f"The verdicts cannot be read: {error.strerror}."), {}
    counts = [(name, list(verdicts.values()).count(name)) for name in JUDGEMENTS]
    tally = html.render(
        "verdicts.html",
        total=len(verdicts), counts=[each for each in counts if each[1]], unreadable=file.unreadable,
        session=owner.session, longest=SESSION_NAME[-1], shortest=SESSION_NAME[0],
        link=f"verdicts/{quote(name_of(analysis.gallery), safe='')}.jsonl?{len(verdicts)}",
    )  # fmt: skip
    return tally, verdicts


def judge(analysis: GalleryAnalysis, miss: Miss, verdict: str) -> None:
    """Save a verdict, or take it back if it is the owner's already.

    Raises:
        QueryError: the verdict is invalid, cannot be saved or exceeds a limit.
    """
    if not SETTINGS.on:
        raise QueryError("This app takes no verdicts.")
    owner, file = current_owner(), _file_of(analysis.gallery)
    if seconds := _buckets.wait(owner.visitor):
        raise QueryError(f"These are many verdicts at once. Wait {ceil(seconds)} s.")
    try:
        if file.of([owner.key], _fingerprints(analysis.gallery)).get(miss) == verdict:
            verdict = TAKEN_BACK
        file.save(
            gallery=analysis.gallery.manifest.source_fingerprint, **miss._asdict(), verdict=verdict,
            owner=owner.key,
        )  # fmt: skip
    except OSError as error:
        raise QueryError(f"The verdict cannot be saved in the gallery's folder: {error.strerror}.") from error


class VisitorCookie:
    """Middleware that gives every visitor of a page a random cookie."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or _VISITOR in Request(scope).cookies:
            await self.app(scope, receive, send)
            return

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    headers.append("Set-Cookie", _cookie(scope, _VISITOR, secrets.token_urlsafe(16)))
            await send(message)

        await self.app(scope, receive, with_cookie)


async def enter_session(request: Request) -> Response:
    """Open or join the session `?name=`, or leave the one before if the name is empty."""
    name = " ".join(request.query_params.get("name", "").split())
    if name and len(name) not in SESSION_NAME:
        least, most = SESSION_NAME[0], SESSION_NAME[-1]
        return JSONResponse({"detail": f"The name of a session has {least} to {most} characters."}, 400)
    answer = RedirectResponse("../analysis?tab=misses", 303)
    answer.headers.append("Set-Cookie", _cookie(request.scope, _SESSION, quote(name)))
    return answer


def export(request: Request) -> Response:
    """Return the owner's verdicts on a gallery, as lines of the file of verdicts."""
    gallery = gallery_named(request.path_params["gallery"])
    if gallery is None:
        return JSONResponse({"detail": "Not Found"}, 404)
    owner = _owner(request.headers, "")
    lines = b"".join(_file_of(gallery).lines_of(owner.key)) if owner.key else b""
    return Response(lines, headers={"Content-Disposition": 'attachment; filename="verdicts.jsonl"'})


ROUTES = [Route("/verdicts/session", enter_session), Route("/verdicts/{gallery}.jsonl", export)]


def _owner(headers: Mapping[str, str], session_hash: str) -> Owner:
    cookies: SimpleCookie = SimpleCookie()
    with suppress(CookieError):
        cookies.load(headers.get("cookie", ""))
    values = {name: unquote(each.value) for name, each in cookies.items()}
    # A browser that takes no cookies, as in a frame of another site, is told apart until the page is closed.
    visitor = values.get(_VISITOR) or session_hash
    # Not the cookie itself, which would let whoever reads it be this visitor.
    digest = hashlib.sha256(visitor.encode()).hexdigest()[:16]
    return Owner(f"visitor:{digest}" if visitor else "", values.get(_SESSION, "")[: SESSION_NAME[-1]])


def _cookie(scope: Scope, name: str, value: str) -> str:
    secure = "; Secure" if scope["scheme"] == "https" else ""
    age = YEAR if value else 0
    return f"{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"


def _file_of(gallery: Gallery) -> VerdictFile:
    return _opened(gallery.path / VERDICTS)


_opened: Any = cache(VerdictFile)


def _fingerprints(gallery: Gallery) -> tuple[str, str]:
    return gallery.manifest.source_fingerprint, gallery.manifest.checksum
