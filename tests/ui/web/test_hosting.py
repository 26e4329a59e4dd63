"""The promises of SECURITY.md about a hosted app, tested with requests that no browser sends."""

import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from itr_core.system.files import cache_dir
from tests.ui.server import HTTP, ROOT, served_app


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve another app than `app_url`, whose log must have no traceback: Gradio logs some here."""
    with served_app(tmp_path_factory.mktemp("app") / "log.txt", "picturebook:gallery@8") as address:
        yield address


@pytest.fixture
def internal_server() -> Iterator[tuple[str, list[str]]]:
    """Run a server on this machine only; yield its address and the list of the requested paths."""
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", requested
    server.shutdown()
    thread.join()
    server.server_close()


FILE = {"_type": "gradio.FileData"}
"""By this marker, Gradio knows that an object describes a file."""


def search_by(url: str, picture: Any) -> str:
    """Call /search_image with any value as its picture and return the answer of the server."""
    return call(url, "search_image", [picture, 1, ""])


def call(url: str, endpoint: str, data: list[Any]) -> str:
    body = {"data": data, "session_hash": secrets.token_hex(8)}  # a new session has not used up any limit
    post = HTTP.post(f"{url}/gradio_api/call/{endpoint}", json=body)
    assert post.status_code == 200, post.text
    return HTTP.get(f"{url}/gradio_api/call/{endpoint}/{post.json()['event_id']}").text


def upload(url: str, picture: Path) -> str:
    """Upload a picture and return the key that the server gives it."""
    with picture.open("rb") as file:
        (key,) = HTTP.post(f"{url}/gradio_api/upload", files={"files": file}).json()
    return str(key)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "mine.png"
    Image.effect_noise((32, 32), 50).save(path)
    return path


@pytest.mark.parametrize("marker", [{}, {"meta": FILE}], ids=["plain", "marked"])
def test_an_uploaded_picture_can_be_searched_with(url: str, picture: Path, marker: dict[str, Any]) -> None:
    answer = search_by(url, {"path": upload(url, picture)} | marker)
    assert answer.startswith("event: complete")
    assert json.loads(answer.partition("data: ")[2])[0][0]["rank"] == 1


@pytest.fixture
def not_uploaded(picture: Path) -> list[Any]:
    """Return values of `path` that are no uploads: files, devices, links, addresses and other types."""
    pipe, link = picture.with_name("pipe"), picture.with_name("link.png")
    os.mkfifo(pipe)
    link.symlink_to(picture)
    relative = os.path.relpath(picture, ROOT)
    paths = [picture, pipe, link, relative, picture.with_name("missing.png"), picture.parent, "/dev/zero"]
    addresses = [f"file://{picture}", "http://127.0.0.1:9/a.png", "data:image/png;base64,iVBORw0KGgo="]
    return [*map(str, paths), *addresses, [str(picture)], {"path": str(picture), "meta": FILE}, 3, ""]


def test_other_files_of_the_server_are_not_read(url: str, not_uploaded: list[Any]) -> None:
    """All answers are the same, so that none tells whether a file exists."""
    answers = {
        search_by(url, {"path": path, "url": str(path)} | marker)
        for path in not_uploaded
        for marker in ({}, {"meta": FILE}, {"meta": FILE, "is_stream": True})
    }
    assert len(answers) == 1
    assert "not among the uploads" in answers.pop()


def test_no_other_argument_names_a_file(url: str, picture: Path) -> None:
    named = {"path": str(picture), "meta": FILE}
    for endpoint, data in (
        ("search_text", [named, 1, ""]),
        ("search_text", ["a dog", named, ""]),
        ("search_text", ["a dog", 1, named]),
        ("search_image", [[named], 1, ""]),
        ("search_image", [str(picture), 1, ""]),
    ):
        assert str(picture) not in call(url, endpoint, data)


def test_the_event_of_the_page_does_not_return_a_file(url: str, picture: Path) -> None:
    config = HTTP.get(f"{url}/config").json()
    box = next(each["id"] for each in config["components"] if each["props"].get("elem_id") == "picture")
    events = [each for each in config["dependencies"] if each["backend_fn"] and box in each["inputs"]]
    assert events
    for number, event in enumerate(events):
        session = {"session_hash": f"probe{number}"}
        named = {"path": str(picture)}
        data = [named if each == box else "?picture=own" for each in event["inputs"]]
        body = {"fn_index": event["id"], "data": data, **session}
        assert HTTP.post(f"{url}/gradio_api/queue/join", json=body).status_code == 200
        answer = HTTP.get(f"{url}/gradio_api/queue/data", params=session)
        assert "not among the uploads" in answer.text
        assert picture.name not in answer.text


def test_a_tool_call_cannot_name_a_file(url: str, picture: Path) -> None:
    """Gradio's MCP server passes its arguments to a client, which uploads the files that they name."""
    for named in ({"path": str(picture), "meta": FILE}, str(picture), "http://127.0.0.1:9/a.png"):
        arguments = {"image": named, "k": 1}
        answer = HTTP.post(
            f"{url}/gradio_api/mcp/",
            headers={"Accept": "application/json, text/event-stream"},
            json={
                "jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": {"name": "search_image", "arguments": arguments},
            },
        )  # fmt: skip
        assert "rank" not in answer.text


def test_only_listed_thumbnails_are_served(url: str, picture: Path) -> None:
    """Other files in their folder may be links to other places."""
    answer = search_by(url, {"path": upload(url, picture)})
    address = f"{url}/{json.loads(answer.partition('data: ')[2])[0][0]['thumbnail']}"
    assert HTTP.get(address).status_code == 200
    folders = list(cache_dir("galleries").glob("*/thumbnails/000"))
    names = ("link.webp", "other.webp")
    try:
        for folder in folders:
            (folder / names[0]).symlink_to(picture)
            (folder / names[1]).write_bytes(picture.read_bytes())
        for name in names:
            assert HTTP.get(address.replace(address.rpartition("/")[2], name)).status_code == 404
    finally:
        for folder in folders:
            for name in names:
                (folder / name).unlink(missing_ok=True)
    for escape in ("..%2f..%2fitems.parquet", "/etc/passwd", ""):
        assert HTTP.get(f"{address.rpartition('/')[0]}/{escape}").status_code == 404


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433"])
def test_addresses_are_not_fetched(url: str, internal_server: tuple[str, list[str]], host: str) -> None:
    internal, requested = internal_server
    address = f"{internal.replace('127.0.0.1', host)}/secret.png"
    assert "not among the uploads" in search_by(url, {"path": address, "url": address, "meta": FILE})
    assert HTTP.get(f"{url}/gradio_api/file={address}").status_code == 404
    assert requested == []


def test_an_upload_is_served_by_its_key_only(url: str, picture: Path) -> None:
    key = upload(url, picture)
    assert HTTP.get(f"{url}/gradio_api/file={key}").content == picture.read_bytes()
    assert hashlib.sha256(picture.read_bytes()).hexdigest() not in key
    for other in (key.partition("/")[0], f"{key}x", str(picture), "/etc/passwd", "../" + key):
        assert HTTP.get(f"{url}/gradio_api/file={other}").status_code == 404


def test_pages_have_a_heartbeat(url: str) -> None:
    """Its end is the end of the session; Gradio has none for pages that do not need it."""
    for name in ("", "analysis"):
        assert HTTP.get(f"{url}/config", params={"page": name}).json()["connect_heartbeat"]


def test_an_upload_ends_with_its_session(url: str, picture: Path) -> None:
    kept, used = upload(url, picture), upload(url, picture)
    body = {"data": [{"path": used}, 1, ""], "session_hash": "leaving"}
    with HTTP.stream("GET", f"{url}/gradio_api/heartbeat/leaving") as heartbeat:
        lines = heartbeat.iter_lines()  # the connection is closed with this iterator
        assert next(lines) == "data: ALIVE"
        assert HTTP.post(f"{url}/gradio_api/call/search_image", json=body).status_code == 200
        assert HTTP.get(f"{url}/gradio_api/file={used}").status_code == 200
    end = time.monotonic() + 120
    while HTTP.get(f"{url}/gradio_api/file={used}").status_code != 404:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert HTTP.get(f"{url}/gradio_api/file={kept}").status_code == 200


def test_an_upload_that_is_no_picture_is_not_shown(url: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<script>alert(1)</script>")
    answer = HTTP.get(f"{url}/gradio_api/file={upload(url, page)}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")


def test_errors_contain_no_traceback_and_no_path(url: str, picture: Path) -> None:
    broken = picture.with_name("broken.png")
    broken.write_bytes(picture.read_bytes()[:60])
    key = upload(url, broken)
    answer = search_by(url, {"path": key})
    assert "truncated or damaged" in answer
    assert key not in answer
    assert "Traceback" not in answer


def test_large_uploads_are_refused(url: str, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes(27_000_000))
    with large.open("rb") as file:
        answer = HTTP.post(f"{url}/gradio_api/upload", files={"files": file})
    assert answer.status_code == 413


def test_a_flood_is_refused_with_the_time_to_wait(url: str) -> None:
    def search(session: str | None = None) -> httpx.Response:
        body = {"data": ["a dog", 1, ""], "session_hash": session}
        return HTTP.post(f"{url}/gradio_api/call/search_text", json=body)

    refused = [answer for answer in (search() for _ in range(100)) if answer.status_code == 429]
    assert refused
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert search("another visitor's page").status_code == 200
