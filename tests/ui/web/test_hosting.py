"""The promises of SECURITY.md about a hosted app, tested with requests that no browser sends."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
from PIL import Image

from tests.ui.server import served_app


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


def search_by(url: str, path: str) -> str:
    """Call /search_image with the picture at `path` and return the answer of the server."""
    data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, 1, ""]
    event = httpx.post(f"{url}/gradio_api/call/search_image", json={"data": data}).json()["event_id"]
    return httpx.get(f"{url}/gradio_api/call/search_image/{event}", timeout=60).text


def is_refused(answer: str) -> bool:
    """Return whether Gradio refused the request; it gives no reason."""
    kind, _, data = answer.partition("\ndata: ")
    return kind == "event: error" and json.loads(data) in (None, {"error": None})


def upload(url: str, picture: Path) -> str:
    """Upload a picture and return the path that the server gives it."""
    with picture.open("rb") as file:
        (path,) = httpx.post(f"{url}/gradio_api/upload", files={"files": file}).json()
    return str(path)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "mine.png"
    Image.effect_noise((32, 32), 50).save(path)
    return path


def test_an_uploaded_picture_can_be_searched_with(url: str, picture: Path) -> None:
    answer = search_by(url, upload(url, picture))
    assert answer.startswith("event: complete")
    assert json.loads(answer.partition("data: ")[2])[0][0]["rank"] == 1


def test_other_files_of_the_server_are_not_read(url: str, picture: Path) -> None:
    assert is_refused(search_by(url, str(picture)))  # an image, but not uploaded


def test_links_out_of_the_thumbnails_are_not_followed(url: str, picture: Path) -> None:
    answer = search_by(url, upload(url, picture))
    address = f"{url}/{json.loads(answer.partition('data: ')[2])[0][0]['thumbnail']}"
    assert httpx.get(address).status_code == 200
    thumbnail = Path(unquote(address.partition("/file=")[2]))
    thumbnail.with_name("link.webp").symlink_to(picture)
    assert httpx.get(address.replace(thumbnail.name, "link.webp")).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433"])
def test_addresses_of_the_internal_network_are_not_fetched(
    url: str, internal_server: tuple[str, list[str]], host: str
) -> None:
    internal, requested = internal_server
    address = f"{internal.replace('127.0.0.1', host)}/secret.png"
    assert is_refused(search_by(url, address))
    assert httpx.get(f"{url}/gradio_api/file={address}").status_code == 403
    assert requested == []


def test_uploads_cannot_be_found_by_their_hash_or_by_listing(url: str, picture: Path) -> None:
    path = Path(upload(url, picture))
    assert hashlib.sha256(picture.read_bytes()).hexdigest() not in str(path)
    for folder in (path.parent, path.parent.parent):
        assert httpx.get(f"{url}/gradio_api/file={folder}/").status_code in (403, 404)


def test_errors_contain_no_traceback_and_no_path(url: str, picture: Path) -> None:
    broken = picture.with_name("broken.png")
    broken.write_bytes(picture.read_bytes()[:60])
    path = upload(url, broken)
    answer = search_by(url, path)
    assert "truncated or damaged" in answer
    assert path not in answer
    assert "Traceback" not in answer


def test_large_uploads_are_refused(url: str, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes(27_000_000))
    with large.open("rb") as file:
        answer = httpx.post(f"{url}/gradio_api/upload", files={"files": file}, timeout=60)
    assert answer.status_code == 413
