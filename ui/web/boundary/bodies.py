"""Bodies of requests: bounded, valid JSON, and free of the markers by which Gradio opens files."""

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any

import orjson
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.web.boundary.served import thumbnail_path
from ui.web.boundary.uploads import FILE_BYTES, UPLOADS

JSON_BYTES = 2**20
"""Largest body of JSON."""
UPLOAD_OVERHEAD = 2**16
"""Bytes that the encoding of an upload may add to the file."""
DEPTH = 32
"""Deepest nesting of arrays and objects."""
CHARACTERS = 10_000
"""Longest text; the rest is cut off. No text tower reads a tenth of it."""
SECONDS = 60
"""Longest time in which a body of JSON may arrive."""
UPLOAD_SECONDS = 300
"""Longest time in which an upload may arrive."""
ADDRESS_CHARACTERS = 16_000
"""Longest query string of an address."""
DRAINED_BYTES = 256 * 2**20
"""Bytes of a body above the limit that are read and dropped, so that its sender gets the answer."""

NO_FILE = "unknown"
"""Replaces every `path` that is neither an upload's key nor a thumbnail's address."""

UPLOAD_ROUTE = "/gradio_api/upload"
OWN_ROUTE = "/own/pictures"
"""Takes the pictures that a visitor wants to search."""
_MCP_ROUTE = "/gradio_api/mcp"
_CALL_ROUTE = re.compile(r"/gradio_api/call/(\w+)/?")
DEFAULTS: dict[str, list[Any]] = {}
"""Endpoint -> default values of its arguments. Gradio's clients send those that a program leaves out; by HTTP
alone, Gradio would refuse the call."""


class RefusedError(Exception):
    """A body that is not passed on, with the status and the text of the answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.response = JSONResponse({"detail": detail}, status)


class Bodies:
    """Middleware that checks the body of every request before the app receives it.

    JSON has at most `JSON_BYTES`, is valid UTF-8 with finite numbers and at most `DEPTH` levels, and is
    passed on as it was understood here, so that no second parser can read it otherwise. The checked value is
    in the scope's `pairscope.json`. Uploads are counted while they are received.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if len(scope.get("query_string", b"")) > ADDRESS_CHARACTERS:
            await JSONResponse({"detail": "This address is too long."}, 414)(scope, receive, send)
            return
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        uploading = scope["path"] in (UPLOAD_ROUTE, OWN_ROUTE)
        try:
            most = FILE_BYTES + UPLOAD_OVERHEAD if uploading else JSON_BYTES
            await _check_length(headers.get(b"content-length", b"0"), most, receive)
            if uploading:
                await self.app(scope, _counted(receive, most), send)
                return
            if headers.get(b"content-type", b"").lower().startswith(b"multipart/"):
                raise RefusedError(415, "Only uploads can be sent as multipart/form-data.")
            body = await _received(receive, most)
            if body:
                value = checked(body, cut=not scope["path"].startswith(_MCP_ROUTE))
                if isinstance(value, dict) and any(upload_keys(value.get("event_data"))):
                    raise RefusedError(400, "The data of an event cannot name a file.")
                scope["pairscope.json"] = value = _with_defaults(scope["path"], value)
                body = orjson.dumps(value)
            scope["headers"] = _with_length(scope["headers"], len(body))
        except RefusedError as error:
            await error.response(scope, receive, send)
            return
        await self.app(scope, _replayed(body, receive), send)


def checked(body: bytes, *, cut: bool = True) -> Any:
    """Return the value of a JSON body, in which no `path` names another file than an upload or a thumbnail.

    Args:
        body: The JSON.
        cut: Cut texts to `CHARACTERS`.

    Raises:
        RefusedError: the body is not valid.
    """
    try:
        return _cleaned(orjson.loads(body), cut, DEPTH)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, "The body of this request is not valid JSON with finite numbers.") from error


def upload_keys(value: Any) -> Iterator[str]:
    """Yield what a checked body names as `path`, anywhere in it."""
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from upload_keys(each)


def _with_defaults(path: str, value: Any) -> Any:
    """Return the body of a call of an endpoint with the arguments that its end leaves out."""
    called = _CALL_ROUTE.fullmatch(path)
    if called and isinstance(value, dict) and isinstance(data := value.get("data"), list):
        return value | {"data": data + DEFAULTS.get(called[1], [])[len(data) :]}
    return value


def _cleaned(value: Any, cut: bool, depth: int) -> Any:
    if isinstance(value, str):
        return value[:CHARACTERS] if cut else value
    if not isinstance(value, list | dict):
        return value
    if not depth:
        raise RefusedError(400, f"The body of this request is nested deeper than {DEPTH} levels.")
    if isinstance(value, list):
        return [_cleaned(each, cut, depth - 1) for each in value]
    cleaned = {
        name: _cleaned(each, cut, depth - 1)
        for name, each in value.items()
        # With this marker, Gradio and its client open, copy or fetch what `path` names.
        if not (name == "meta" and isinstance(each, dict) and "_type" in each)
    }
    if cleaned.get("path") is not None and not _is_served(cleaned["path"]):
        cleaned["path"] = NO_FILE
    return cleaned


def _is_served(path: Any) -> bool:
    return isinstance(path, str) and (path in UPLOADS or thumbnail_path(path) is not None)


async def _check_length(declared: bytes, most: int, receive: Receive) -> None:
    if not declared.isdigit():
        raise RefusedError(400, "The length of the body is not a number.")
    if int(declared) > most:
        await _drain(receive)
        raise _too_large(most)


async def _received(receive: Receive, most: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise RefusedError(400, "The connection was closed.")
                body += message.get("body", b"")
                if len(body) > most:
                    await _drain(receive)
                    raise _too_large(most)
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError as error:
        raise RefusedError(408, f"The body took longer than {SECONDS} seconds.") from error


async def _drain(receive: Receive) -> None:
    dropped, end = 0, time.monotonic() + SECONDS
    while dropped < DRAINED_BYTES and time.monotonic() < end:
        message = await receive()
        dropped += len(message.get("body", b""))
        if not message.get("more_body"):
            return


def _too_large(most: int) -> RefusedError:
    return RefusedError(413, f"The body of this request is larger than the limit of {most:,} bytes.")


def _with_length(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    kept = [each for each in headers if each[0].lower() not in (b"content-length", b"transfer-encoding")]
    return [*kept, (b"content-length", str(length).encode())]


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once and then waits for the client to disconnect."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _counted(receive: Receive, most: int) -> Receive:
    """Return a `receive` that raises RefusedError once the body is too large or takes too long."""
    count, end = 0, time.monotonic() + UPLOAD_SECONDS

    async def counted() -> Message:
        nonlocal count
        try:
            message = await asyncio.wait_for(receive(), end - time.monotonic())
        except TimeoutError as error:
            raise RefusedError(408, f"The upload took longer than {UPLOAD_SECONDS} seconds.") from error
        count += len(message.get("body", b""))
        if count > most:
            raise _too_large(most)
        return message

    return counted
