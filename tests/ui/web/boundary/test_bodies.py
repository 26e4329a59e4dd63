"""Bodies of requests are bounded and strict JSON, and name no files."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.ui.async_calls import run_async
from ui.web.boundary import bodies
from ui.web.boundary.bodies import Bodies, RefusedError, checked, upload_keys
from ui.web.boundary.uploads import FILE_BYTES, UPLOADS

FILE = {"_type": "gradio.FileData"}


async def echo(request: Request) -> JSONResponse:
    return JSONResponse({"received": json.loads(await request.body() or b"null")})


async def length(request: Request) -> JSONResponse:
    return JSONResponse(len(await request.body()))


APP = Starlette(
    routes=[
        Route("/gradio_api/upload", length, methods=["POST"]),
        Route("/{any:path}", echo, methods=["POST"]),
    ],
    middleware=[Middleware(Bodies)],
)


def post(content: bytes | AsyncIterator[bytes], path: str = "/x", **headers: str) -> httpx.Response:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://app") as client:
            return await client.post(path, content=content, headers=headers)

    return run_async(send())


async def chunks(content: bytes, size: int = 2**16) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def body_of(size: int) -> bytes:
    return b'"' + b"x" * (size - 2) + b'"'


def test_a_body_arrives_as_it_was_sent() -> None:
    value = {"data": ["a dog", 12, None, 0.5, "é🦓", {"nested": [True]}], "session_hash": "s"}
    assert post(json.dumps(value).encode()).json()["received"] == value
    assert post(b"").json()["received"] is None


@pytest.mark.parametrize("chunked", [False, True])
def test_json_has_at_most_one_megabyte(chunked: bool) -> None:
    for size, status in ((bodies.JSON_BYTES, 200), (bodies.JSON_BYTES + 1, 413)):
        content = body_of(size)
        assert post(chunks(content) if chunked else content).status_code == status


def test_an_upload_has_at_most_the_limit_without_a_declared_length() -> None:
    most = FILE_BYTES + bodies.UPLOAD_OVERHEAD
    for size, status in ((most, 200), (most + 1, 413)):
        assert post(chunks(bytes(size), 2**20), "/gradio_api/upload").status_code == status


@pytest.mark.parametrize(
    "content",
    [
        b"{", b"[1,]", b"nothing", b"\xff\xfe{}", b'"\xff"', b'"\\ud800"', b"NaN", b"[Infinity]", b"[-1e999]",
        b"1" + b"0" * 400, b"[" * 100_000, b"[" * 33 + b"]" * 33, b'{"a":' * 33 + b"1" + b"}" * 33,
        '"utf-16"'.encode("utf-16"),
    ],
)  # fmt: skip
def test_other_bodies_are_refused(content: bytes) -> None:
    answer = post(content)
    assert answer.status_code == 400
    assert set(answer.json()) == {"detail"}


def test_nesting_up_to_the_limit_is_accepted() -> None:
    assert post(b"[" * bodies.DEPTH + b"]" * bodies.DEPTH).status_code == 200


@pytest.mark.parametrize("value", ["x", "-1", "1e3", ""])
def test_a_declared_length_that_is_no_number_is_refused(value: str) -> None:
    answer = post(b"{}", **{"content-length": value})
    assert answer.status_code == 400


def test_forms_are_for_uploads_only() -> None:
    assert post(b"--x--", **{"content-type": "multipart/form-data; boundary=x"}).status_code == 415


def test_long_texts_are_cut() -> None:
    received = post(json.dumps({"data": ["x" * 20_000, ["é" * 10_001]]}).encode()).json()["received"]
    assert received == {"data": ["x" * 10_000, ["é" * 10_000]]}
    picture = "data:image/png;base64," + "A" * 20_000
    assert post(json.dumps(picture).encode(), "/gradio_api/mcp/").json()["received"] == picture


def test_the_data_of_an_event_names_no_file() -> None:
    refused = post(json.dumps({"data": [], "event_data": [{"path": "/etc/passwd"}]}).encode())
    assert (refused.status_code, refused.json()["detail"]) == (
        400,
        "The data of an event cannot name a file.",
    )
    assert post(b'{"data":[],"event_data":{"keys":["images:1"]}}').status_code == 200


def test_long_addresses_are_refused() -> None:
    assert post(b"{}", "/x?q=" + "a" * 20_000).status_code == 414


@pytest.fixture
def upload(tmp_path: Path) -> Iterator[str]:
    with UPLOADS.arriving("visitor", 10) as folder:
        (folder / "a.png").write_bytes(b"picture")
        yield UPLOADS.add("visitor", folder / "a.png")
    UPLOADS.clear()


def test_only_uploads_are_named_as_paths(upload: str) -> None:
    sent: dict[str, Any] = {
        "data": [
            {"path": upload, "meta": FILE, "orig_name": "a.png"},
            {"path": "/etc/passwd", "meta": FILE, "url": "/etc/passwd"},
            {"path": f"../{upload}"},
            {"path": ["/etc/passwd"]},
            {"path": {"path": "/etc/passwd"}},
            {"path": None},
            {"meta": {"about": "other things"}},
        ]
    }
    value = checked(json.dumps(sent).encode())
    assert value == {
        "data": [
            {"path": upload, "orig_name": "a.png"},
            {"path": bodies.NO_FILE, "url": "/etc/passwd"},
            {"path": bodies.NO_FILE},
            {"path": bodies.NO_FILE},
            {"path": bodies.NO_FILE},
            {"path": None},
            {"meta": {"about": "other things"}},
        ]
    }
    assert set(upload_keys(value)) == {upload, bodies.NO_FILE}


def test_the_last_of_equal_names_is_the_one_that_is_passed_on() -> None:
    """Otherwise another parser could read the first one, which was not checked."""
    content = b'{"path":"/etc/passwd","path":null}'
    assert checked(content) == {"path": None}
    assert post(content).json()["received"] == {"path": None}


def test_a_refusal_has_a_status_and_a_reason() -> None:
    with pytest.raises(RefusedError, match="nested deeper than 32") as caught:
        checked(b"[" * 40 + b"]" * 40)
    assert caught.value.response.status_code == 400
