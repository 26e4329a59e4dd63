"""The files that the app serves besides Gradio's: listed thumbnails, and single files that pages link.

Their addresses contain the name of the gallery or file, never a folder of the server.
"""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, unquote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from itr_core.errors import ImageError
from itr_core.gallery import Gallery
from itr_core.gallery.manifest import Stamp
from itr_core.gallery.thumbnail_store import AT_ONCE, ThumbnailStore

_galleries: dict[str, Gallery] = {}
_names: dict[Path, str] = {}
_shared: dict[Path, str] = {}
_files: dict[str, Path] = {}
_stores = ThreadPoolExecutor(AT_ONCE, "stores")
"""Threads of their own, because stores can be slow, and searches run in those of the server."""
_AWAY = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 224 224" width="224" height="224">'
    b'<rect width="224" height="224" fill="#b8b3a6" fill-opacity=".25"/>'
    b'<g fill="none" stroke="#8a8578" stroke-width="6"><rect x="72" y="82" width="80" height="60" rx="6"/>'
    b'<path d="M64 150 160 74"/></g></svg>'
)
"""What is shown for a thumbnail whose store is away."""


def serve_gallery(name: str, gallery: Gallery, *, like: str = "") -> None:
    """Serve the thumbnails that are listed in the manifest of a gallery, under its name.

    Args:
        name: Name of the gallery.
        gallery: The gallery.
        like: Name of another gallery. If it has the same thumbnails, theirs are used: a browser that shows
            pictures of both loads each picture once.
    """
    _galleries[name] = gallery
    folder = gallery.path / "thumbnails"
    _names[folder] = name
    other = _galleries.get(like)
    same = other is not None and _thumbnails(other) == _thumbnails(gallery)
    _shared[folder] = like if same else name


def stop_serving(name: str) -> None:
    """Serve the thumbnails of a gallery no longer."""
    gallery = _galleries.pop(name, None)
    if gallery:
        _names.pop(gallery.path / "thumbnails", None)
        _shared.pop(gallery.path / "thumbnails", None)


def gallery_named(name: str) -> Gallery | None:
    """Return a served gallery."""
    return _galleries.get(name)


def name_of(gallery: Gallery) -> str:
    """Return the name of a served gallery; "" if it is not served."""
    return _names.get(gallery.path / "thumbnails", "")


def serve_file(path: Path) -> str:
    """Serve a file and return its address, in which only the name of the file can be read.

    Served files of one folder have addresses of one folder, so that scripts can import each other.
    """
    key = f"{hashlib.sha256(bytes(path.parent)).hexdigest()[:12]}/{path.name}"
    _files[key] = path
    return f"files/{quote(key)}"


def thumbnail_url(path: Path) -> str:
    """Return the address of a thumbnail, relative to the page; "" if its gallery is not served.

    Relative addresses work behind a proxy that serves the app under a path.
    """
    for folder, name in list(_shared.items()):  # another thread may serve or stop serving a gallery
        if path.is_relative_to(folder):
            return f"thumbnails/{quote(name, safe='')}/{path.relative_to(folder).as_posix()}"
    return ""


def thumbnail_path(url: str) -> Path | None:
    """Return the file of an address that `thumbnail_url` made; None for any other text."""
    kind, _, rest = url.partition("/")
    name, _, file = rest.partition("/")
    return _listed(unquote(name), file) if kind == "thumbnails" else None


async def thumbnail(request: Request) -> Response:
    """Answer with a thumbnail: a file, or what this server reads from the store of the gallery."""
    gallery = _galleries.get(request.path_params["gallery"])
    if gallery and gallery.store:
        return await _from_store(
            gallery, gallery.store, f"thumbnails/{request.path_params['file']}", request.headers
        )
    return _answer(_listed(request.path_params["gallery"], request.path_params["file"]))


async def file(request: Request) -> Response:
    """Answer with a file that a page links."""
    return _answer(_files.get(request.path_params["key"]))


def _listed(name: str, file: str) -> Path | None:
    """Return the path of a thumbnail if the manifest lists it and no link leads elsewhere."""
    gallery = _galleries.get(name)
    relative = f"thumbnails/{file}"
    if gallery is None or relative not in gallery.manifest.files:
        return None
    path = gallery.path.resolve() / relative
    return path if path == path.resolve() else None


async def _from_store(gallery: Gallery, store: ThumbnailStore, name: str, headers: Headers) -> Response:
    if name not in gallery.manifest.files:
        return _answer(None)
    tag = f'"{gallery.manifest.files[name].sha256[:32]}"'
    unchanged = {"Cache-Control": "no-cache", "ETag": tag}
    if headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=unchanged)
    try:
        content = await asyncio.get_running_loop().run_in_executor(_stores, store.read, name)
    except ImageError:  # which is in the log
        return Response(_AWAY, 503, {"Cache-Control": "no-store"}, "image/svg+xml")
    return Response(content, headers=unchanged, media_type="image/webp")


def _thumbnails(gallery: Gallery) -> dict[str, Stamp]:
    files = gallery.manifest.files
    return {name: stamp for name, stamp in files.items() if name.startswith("thumbnails/")}


def _answer(path: Path | None) -> Response:
    if path is None or not path.is_file():
        return JSONResponse({"detail": "Not Found"}, 404)
    return FileResponse(path, headers={"Cache-Control": "no-cache"})  # a gallery can be built again
