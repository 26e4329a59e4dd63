"""The routes that take and return uploads, in the place of Gradio's own."""

import asyncio
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from mimetypes import guess_type
from pathlib import Path
from urllib.parse import quote

from gradio.route_utils import upload_fn
from gradio.routes import file_upload_statuses
from starlette.concurrency import run_in_threadpool
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from itr_core.errors import ImageError, QueryError
from itr_core.pairs.decoding import decode_upload
from ui.web.boundary.uploads import FILE_BYTES, UPLOADS, UploadsFullError
from ui.web.boundary.visitors import visitor

SHOWN = frozenset(f"image/{name}" for name in ("jpeg", "png", "webp", "gif", "bmp", "avif"))
"""Types of uploads that a browser shows as they are."""
PREVIEW_SIDE = 512
"""Longer side in pixels of the JPEG that is shown in the place of HEIC and TIFF."""
PROGRESS_SECONDS = 60
"""Seconds in which a browser can ask for the progress of an upload that has ended."""


async def upload(request: Request) -> Response:
    """Store the files of a request; answer with their keys, where Gradio would answer with their paths."""
    owner = visitor(request.scope)
    tracked = request.query_params.get("upload_id")
    size = int(request.headers.get("content-length") or FILE_BYTES)
    try:
        with UPLOADS.arriving(owner, size) as folder:
            paths, _, _ = await upload_fn(
                request, folder, FILE_BYTES, tracked, force_move=True,
                upload_progress=file_upload_statuses if tracked else None,
            )  # fmt: skip
            keys = [UPLOADS.add(owner, Path(path)) for path in paths]
    except UploadsFullError:
        busy = "Too many pictures are being uploaded. Try again in a minute."
        return JSONResponse({"detail": busy}, 503, {"Retry-After": "60"})
    except MultiPartException as error:
        too_large = "maximum allowed size" in error.message
        return JSONResponse({"detail": error.message}, 413 if too_large else 400)
    finally:
        if tracked:
            asyncio.get_running_loop().call_later(
                PROGRESS_SECONDS, file_upload_statuses.stop_tracking, tracked
            )
    return JSONResponse(keys)


async def uploaded(request: Request) -> Response:
    """Return an upload to those who know its key; the picture box shows it."""
    key = request.path_params["key"]
    try:
        content = await run_in_threadpool(UPLOADS.read, key)
    except QueryError as error:
        return JSONResponse({"detail": str(error)}, 404)
    kind = guess_type(key)[0]
    if kind in SHOWN:
        return Response(content, media_type=kind, headers={"Cache-Control": "private, no-store"})
    with suppress(ImageError, QueryError):
        preview = await run_in_threadpool(_preview, key)
        return Response(preview, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})
    name = quote(key.rpartition("/")[2])
    return Response(
        content,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
    )


@lru_cache(64)
def _preview(key: str) -> bytes:
    """Return a small JPEG of an upload.

    Raises:
        ImageError: It is no picture.
        QueryError: There is no such upload.
    """
    picture, file = decode_upload(UPLOADS.read(key), min_side=PREVIEW_SIDE), BytesIO()
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    picture.save(file, "JPEG")
    return file.getvalue()
