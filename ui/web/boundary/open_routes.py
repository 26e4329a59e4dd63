"""The routes of the app that strangers can reach; Gradio has more, for its developers and its hub."""

import logging
import re

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

_READ = (
    r"/(config|theme\.css|robots\.txt|favicon\.ico|manifest\.json)",
    r"/(static|assets|svelte|thumbnails|files|verdicts|rankings)/.+",
    r"/own/state",
    r"/gradio_api/(info|openapi\.json|theme\.css|app_id|startup-events|queue/data|queue/status|upload_progress)",
    r"/gradio_api/(call|call/v2)/\w+/\w+",
    r"/gradio_api/heartbeat/[\w-]+",
    r"/gradio_api/file=.+",
)
_WRITE = (
    r"/gradio_api/(queue/join|upload|cancel|reset|component_server)",
    r"/gradio_api/(call|call/v2|run)/\w+",
    r"/own/(pictures|build|leave|remove)",
)
_MCP = r"/gradio_api/mcp(/.*)?"


class OpenRoutes:
    """Middleware that answers every other route with 404.

    It also answers requests that Gradio fails on, such as those that name no event, with 400. Gradio would
    answer with 500 and write a traceback into the log for what is only a wrong request.

    Args:
        app: The app behind.
        pages: Paths of the pages, without the leading slash.
    """

    def __init__(self, app: ASGIApp, pages: list[str]) -> None:
        self.app = app
        page = f"/({'|'.join(map(re.escape, pages))})"
        self.read = re.compile(f"({'|'.join((page, *_READ, _MCP))})/?")
        self.write = re.compile(f"({'|'.join((*_WRITE, _MCP))})/?")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http" or not self._is_open(scope["method"], scope["path"]):
            await JSONResponse({"detail": "Not Found"}, 404)(scope, receive, send)
            return
        started = False

        async def noting_start(message: Message) -> None:
            nonlocal started
            started = True
            if message.get("status") == 500:  # of /gradio_api/run/, when a handler refuses its values
                message["status"] = 400
            await send(message)

        try:
            await self.app(scope, receive, noting_start)
        except Exception as error:
            if started and not isinstance(error.__cause__, HTTPException):
                raise
            log.warning("Refused %s %s: %s", scope["method"], scope["path"][:80], type(error).__name__)
            if started:  # such as a stream for an event that does not exist: it ends here
                await send({"type": "http.response.body"})
                return
            refused = JSONResponse({"detail": "This request cannot be answered."}, 400)
            await refused(scope, receive, send)

    def _is_open(self, method: str, path: str) -> bool:
        if method in ("GET", "HEAD"):
            return bool(self.read.fullmatch(path))
        if method in ("POST", "OPTIONS"):
            return bool(self.write.fullmatch(path))
        return method == "DELETE" and bool(re.fullmatch(_MCP, path))  # MCP clients end their session so
