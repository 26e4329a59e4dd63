"""Uploads belong to the sessions that use them and are deleted when these end."""

from starlette.types import ASGIApp, Receive, Scope, Send

from ui.web.boundary.bodies import upload_keys
from ui.web.boundary.uploads import UPLOADS

_HEARTBEAT = "/gradio_api/heartbeat/"


class Sessions:
    """Middleware that connects uploads with sessions; a session lasts as long as its heartbeat."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = scope.get("pairscope.json")
        if isinstance(body, dict) and isinstance(session := body.get("session_hash"), str):
            UPLOADS.claim(upload_keys(body), session)
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "http" and scope["path"].startswith(_HEARTBEAT):
                UPLOADS.end(scope["path"].removeprefix(_HEARTBEAT))
