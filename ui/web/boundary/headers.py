"""Headers of every answer, which tell browsers what the pages may do."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Gradio's pages have inline scripts and styles and compile the scripts of gr.HTML.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
HUB = " https://huggingface.co https://*.hf.space"
"""The sites that show a Space in a frame."""


class SecurityHeaders:
    """Middleware that adds the headers.

    Args:
        app: The app behind.
        framed_by: Sites that may show the app in a frame, each after a space.
    """

    def __init__(self, app: ASGIApp, framed_by: str = "") -> None:
        self.app = app
        self.headers = {
            "Content-Security-Policy": _POLICY + framed_by,
            "Permissions-Policy": "camera=(self), clipboard-read=(self), clipboard-write=(self), "
            "microphone=(), geolocation=(), payment=(), usb=()",
            "Referrer-Policy": "same-origin",  # addresses contain queries
            "X-Content-Type-Options": "nosniff",
        }
        if not framed_by:
            self.headers["X-Frame-Options"] = "SAMEORIGIN"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers[name] = value
            await send(message)

        await self.app(scope, receive, with_headers)
