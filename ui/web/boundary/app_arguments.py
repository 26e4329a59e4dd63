"""The arguments of Gradio's FastAPI app that put the boundary before its routes."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.middleware import Middleware
from starlette.routing import Route

from ui.web.boundary.bodies import UPLOAD_ROUTE, Bodies
from ui.web.boundary.headers import HUB, SecurityHeaders
from ui.web.boundary.memory import Memory
from ui.web.boundary.open_routes import OpenRoutes
from ui.web.boundary.rates import Rates
from ui.web.boundary.served import file, thumbnail
from ui.web.boundary.sessions import Sessions
from ui.web.boundary.upload_routes import upload, uploaded
from ui.web.boundary.uploads import UPLOADS
from ui.web.boundary.visitors import ForwardedHeaders

SWEEP_SECONDS = 60


def app_arguments(
    pages: Sequence[str],
    proxies: Sequence[str] = (),
    rate: float = 1,
    *,
    middleware: Sequence[Middleware] = (),
    routes: Sequence[Route] = (),
) -> dict[str, Any]:
    """Return the middleware, routes and lifespan of the FastAPI app.

    Args:
        pages: Paths of the pages, without the leading slash.
        proxies: Addresses or networks of the proxies whose `X-Forwarded-*` headers are believed. A Space of
            Hugging Face believes all, because only the hub's proxy reaches it.
        rate: Multiplies the limits on requests per second; 0 switches them off.
        middleware: More middleware, which a request passes last.
        routes: More routes.
    """
    space = "SPACE_ID" in os.environ
    os.environ["FORWARDED_ALLOW_IPS"] = "none"  # read by uvicorn, which would believe this machine's programs
    return {
        "middleware": [
            Middleware(ForwardedHeaders, ["*"] if space else list(proxies)),
            Middleware(SecurityHeaders, HUB if space else ""),
            Middleware(OpenRoutes, list(pages)),
            Middleware(Bodies),
            Middleware(Rates, rate),
            Middleware(Sessions),
            Middleware(Memory),
            *middleware,
        ],
        "routes": [
            Route(UPLOAD_ROUTE, upload, methods=["POST"]),
            Route("/gradio_api/file={key:path}", uploaded),
            Route("/thumbnails/{gallery}/{file:path}", thumbnail),
            Route("/files/{key:path}", file),
            *routes,
        ],
        "lifespan": _sweeping,
    }


@asynccontextmanager
async def _sweeping(app: object) -> AsyncIterator[None]:
    """Delete old uploads while the app runs, and all when it ends."""

    async def sweep() -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await asyncio.to_thread(UPLOADS.sweep)

    task = asyncio.create_task(sweep())
    try:
        yield
    finally:
        task.cancel()
        UPLOADS.clear()
