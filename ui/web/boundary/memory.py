"""What Gradio keeps of a session is deleted when the session ends."""

import re
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

MOST_SESSIONS = 200
"""Most sessions that Gradio keeps, those of programs that never read their answers included."""
ENVIRONMENT = {"GRADIO_ANALYTICS_MAX_EVENTS": "1", "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(10**9)}
"""Settings of Gradio: else it computes statistics of the last 10,000 events after every event."""
_STREAM = re.compile(r"/gradio_api/(?:heartbeat|call/[^/]+)/([^/]+)")


class Memory:
    """Middleware that lets Gradio forget a session when its last stream has been closed.

    A page has a stream as long as it is open (the heartbeat), a program as long as it waits for an answer.
    Gradio keeps the values of all components for each session, at least 0.2 MB, and the messages that were
    not read.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._streams: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        session = _session_of_stream(scope)
        if not session:
            await self.app(scope, receive, send)
            return
        self._streams[session] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._streams[session] -= 1
            if not self._streams[session]:
                del self._streams[session]
                _forget(scope["app"], session)


def _session_of_stream(scope: Scope) -> str:
    """Return the session of a request for a stream; "" for another request."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return ""
    if scope["path"] == "/gradio_api/queue/data":
        return parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
    stream = _STREAM.fullmatch(scope["path"])
    return stream[1] if stream else ""


def _forget(app: Any, session: str) -> None:
    queue = app.get_blocks()._queue
    waiting = (each.queue for each in queue.event_queue_per_concurrency_id.values())
    for events in (*queue.active_jobs, *waiting):
        for event in events or ():
            if event.session_hash == session:
                event.alive = False  # it goes on or is left out: its messages have no receiver any more
    for kept in (
        app.state_holder.session_data,
        app.state_holder.time_last_used,
        queue.pending_messages_per_session,
        queue.pending_event_ids_session,
    ):
        kept.pop(session, None)
