"""The routes by which the page sends pictures, follows the work on them and ends it."""

import secrets
from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from itr_core.errors import PairscopeError
from ui.web.boundary.uploads import FILE_BYTES, UPLOADS, UploadsFullError
from ui.web.boundary.visitors import visitor as address_of
from ui.web.errors import message_of
from ui.web.galleries import Galleries
from ui.web.own.pictures import OwnPictures
from ui.web.own.visitors import COOKIE, GONE, VISITORS, FullError, visitor_of

BATCH_FILES = 100
"""Most files in one request."""
_BUSY = "Too many visitors search their own pictures now. Try again in a few minutes."
_ANOTHER_PAGE = "Another page of yours has begun with other pictures. Drop these again."
NONE = {"state": "none"}


def own_routes(galleries: Galleries) -> list[Route]:
    """Return the routes over galleries, by whose models the pictures are embedded."""

    async def build(request: Request) -> Response:
        own = _set_of(request)
        body = request.scope.get("pairscope.json")
        name = body.get("gallery") if isinstance(body, dict) else None
        gallery = str(name or galleries.names[0])
        galleries.progress(gallery)  # the name must be known
        drawings = galleries.choice(gallery).synthetic
        own.build(
            lambda: galleries.searcher(gallery).encoder,
            lambda: galleries.confidence(gallery) if drawings else None,
        )
        return JSONResponse(own.state())

    return [
        Route("/own/pictures", _answered(pictures), methods=["POST"]),
        Route("/own/build", _answered(build), methods=["POST"]),
        Route("/own/leave", _answered(leave), methods=["POST"]),
        Route("/own/remove", _answered(remove), methods=["POST"]),
        Route("/own/state", _answered(state)),
    ]


async def pictures(request: Request) -> Response:
    """Store some files of a visitor; with `?begin`, the first ones of a new set."""
    visitor = _visitor(request) or secrets.token_urlsafe(16)
    size = int(request.headers.get("content-length") or FILE_BYTES)
    if "begin" in request.query_params:
        own = await run_in_threadpool(VISITORS.begin, visitor)
    else:
        own = _set_of(request)
    with UPLOADS.arriving(address_of(request.scope), size):
        async with request.form(max_files=BATCH_FILES, max_fields=0) as form:
            for file in form.getlist("files"):
                if isinstance(file, UploadFile):
                    await run_in_threadpool(own.add, file.filename, file.file)
    answer = JSONResponse(own.state())
    answer.headers.append("Set-Cookie", _cookie(request, visitor))
    return answer


async def state(request: Request) -> Response:
    """Return the state of the visitor's pictures."""
    own = VISITORS.of(_visitor(request))
    return JSONResponse(own.state() if own else NONE, headers={"Cache-Control": "no-store"})


async def remove(request: Request) -> Response:
    """Delete the visitor's pictures, and stop the work on them."""
    await run_in_threadpool(VISITORS.remove, _visitor(request))
    return JSONResponse(NONE)


async def leave(request: Request) -> Response:
    """Record that a page was closed or reloaded, of which its browser tells."""
    VISITORS.leave(_visitor(request))
    return Response(status_code=204)


def _answered(
    handler: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler with its errors as answers."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except (FullError, UploadsFullError):
            return JSONResponse({"detail": _BUSY}, 503, {"Retry-After": "60"})
        except PairscopeError as error:
            return JSONResponse({"detail": message_of(error)}, 400)

    return answer


def _set_of(request: Request) -> OwnPictures:
    """Return the visitor's set, if it is the one that the page has begun."""
    own = VISITORS.of(_visitor(request))
    if own is None:
        raise HTTPException(404, GONE)
    if own.key != request.query_params.get("set"):
        raise HTTPException(409, _ANOTHER_PAGE)
    return own


def _visitor(request: Request) -> str:
    return visitor_of(request.headers.get("cookie", ""))


def _cookie(request: Request, visitor: str) -> str:
    """Return the cookie, which the browser forgets when it is closed."""
    # In a frame of another site, such as a Space, a cookie must be partitioned by that site.
    framed = "SameSite=None; Secure; Partitioned" if request.url.scheme == "https" else "SameSite=Lax"
    return f"{COOKIE}={visitor}; Path=/; HttpOnly; {framed}"
