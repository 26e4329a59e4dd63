"""Limits on how often a visitor may ask for work."""

import time
from collections import OrderedDict
from math import ceil
from threading import Lock
from typing import NamedTuple

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ui.web.boundary.bodies import UPLOAD_ROUTE
from ui.web.boundary.visitors import is_this_machine, visitor


class Rate(NamedTuple):
    """`burst` requests at once, and `per_second` in the long run."""

    per_second: float
    burst: int


SESSION = Rate(10, 60)
"""Of one open page or one client program."""
NO_SESSION = Rate(5, 30)
"""Of all requests of one address that name no session."""
ADDRESS = Rate(20, 600)
"""Of all sessions of one address, such as a class behind one router; not of the server's own machine."""
UPLOAD = Rate(1, 60)
"""Uploads of one address."""
MOST_KEYS = 10_000
"""Most buckets of one kind; the one that was not used for the longest time is forgotten."""


class TokenBuckets:
    """A token bucket for each key: it holds `burst` tokens and gets `per_second` new ones.

    Several threads may use one object.
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._lock = Lock()
        # key -> tokens, and the time at which there were so many
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, key: str, now: float | None = None) -> float:
        """Take a token and return 0; if there is none, return the seconds until there is one."""
        with self._lock:
            now = time.monotonic() if now is None else now
            tokens, then = self._buckets.pop(key, (self._rate.burst, now))
            tokens = min(self._rate.burst, tokens + (now - then) * self._rate.per_second)
            allowed = tokens >= 1
            self._buckets[key] = (tokens - allowed, now)
            if len(self._buckets) > MOST_KEYS:
                self._buckets.popitem(last=False)
            return 0.0 if allowed else (1 - tokens) / self._rate.per_second


class Rates:
    """Middleware that answers with 429 and `Retry-After` when a visitor asks for too much.

    Args:
        app: The app behind.
        factor: Multiplies all rates; 0 switches the limits off.
    """

    def __init__(self, app: ASGIApp, factor: float = 1) -> None:
        self.app = app
        session, no_session, of_address, upload = (
            TokenBuckets(Rate(each.per_second * factor, ceil(each.burst * factor)))
            for each in (SESSION, NO_SESSION, ADDRESS, UPLOAD)
        )
        self.session, self.no_session, self.address, self.upload = session, no_session, of_address, upload
        self.limited = factor > 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        counted = self.limited and scope["type"] == "http" and scope["method"] == "POST"
        if counted and (seconds := self._wait(scope)):
            detail = f"Too many requests. Try again in {ceil(seconds)} s."
            response = JSONResponse({"detail": detail}, 429, {"Retry-After": str(ceil(seconds))})
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _wait(self, scope: Scope) -> float:
        address = visitor(scope)
        if scope["path"] == UPLOAD_ROUTE:
            return self.upload.wait(address)
        if not is_this_machine(scope) and (seconds := self.address.wait(address)):
            return seconds
        body = scope.get("pairscope.json")
        session = body.get("session_hash") if isinstance(body, dict) else None
        if isinstance(session, str):
            return self.session.wait(f"{scope['path']} {address} {session}")
        return self.no_session.wait(address)
