"""Requests that no browser sends, over HTTP: answered or refused, never with 500, a traceback or a hang."""

import json
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from itr_core.system.files import cache_dir
from tests.ui.server import http_client, served_app

API = "/gradio_api"
CLOSED = [
    "/monitoring", "/monitoring/summary", "/monitoring/key", "/login", "/logout", "/pwa_icon", "/docs",
    "/openapi.json",
    *(API + path for path in (
        "/runs", "/run-history/records", "/run-history/buckets", "/deep_link?session_hash=a", "/dev/reload",
        "/vibe-code", "/vibe-edit", "/token", "/user", "/login_check", "/proxy=https://x.hf.space",
        "/file/etc/passwd", "/profiling/traces", "/stream/a/b/1/playlist.m3u8",
        "/custom_component/a/client/b/c", "/process_recording",
    )),
]  # fmt: skip
VALUES: list[Any] = [
    None, True, 0, -1, 1e308, 2**53, "", "a\0b", "\x1b[31m", "<script>", "${1}", "/etc/passwd", "..", [],
    [[]], {}, {"": ""}, {"path": "/etc/passwd"}, {"__type__": "update", "value": "/etc/passwd"},
    {"__class__": "x"}, ["a"] * 500,
]  # fmt: skip
"""Values of any type, for every field."""


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Serve an app whose limits on requests per second do not hide what it does with them."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PAIRSCOPE_RATE", "1000")
        log = tmp_path_factory.mktemp("app") / "log.txt"
        with (
            served_app(log, "picturebook:gallery@8") as url,
            http_client(url) as client,
        ):
            yield client
        assert "Traceback" not in log.read_text()


def is_harmless(answer: httpx.Response) -> bool:
    """Return whether the server refused or answered the request without telling about itself."""
    text = answer.text
    return (
        answer.status_code < 500
        and "Traceback" not in text
        and "root:" not in text
        and os.getcwd() not in text
    )


def test_routes_that_the_app_does_not_need_are_closed(http: httpx.Client) -> None:
    assert {path: http.get(path).status_code for path in CLOSED} == dict.fromkeys(CLOSED, 404)
    assert {path: http.post(path, json={}).status_code for path in CLOSED} == dict.fromkeys(CLOSED, 404)
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "NONSENSE"):
        assert http.request(method, "/config").status_code in (400, 404, 405)


@pytest.mark.parametrize("path", ["/", "/analysis", "/config", "/nothing", f"{API}/file=none", f"{API}/info"])
def test_every_answer_has_security_headers(http: httpx.Client, path: str) -> None:
    headers = http.get(path).headers
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert "object-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert "microphone=()" in headers["permissions-policy"]


def test_the_host_of_a_strangers_header_is_in_no_answer(http: httpx.Client) -> None:
    headers = {
        "X-Forwarded-Host": "evil.example",
        "X-Gradio-Server": "http://evil.example",
        "Forwarded": "host=evil.example",
    }
    for path in ("/", "/analysis", "/config", f"{API}/info", f"{API}/openapi.json"):
        assert "evil.example" not in http.get(path, headers=headers).text
        assert "evil.example" not in http.get(path).text  # Gradio keeps some answers for everybody


def test_answers_hold_no_path_of_the_server(http: httpx.Client) -> None:
    for path in ("/", "/analysis", "/config", f"{API}/info?all_endpoints=true", f"{API}/openapi.json"):
        text = http.get(path).text
        assert not any(
            place in text for place in (os.getcwd(), str(Path.home()), "site-packages", "pairscope-uploads")
        )


def join(http: httpx.Client, event: dict[str, Any]) -> str:
    """Send an event of a page with a new session; return the answer."""
    session = {"session_hash": secrets.token_hex(8)}
    posted = http.post(f"{API}/queue/join", json={"data": [], **session, **event})
    assert is_harmless(posted), posted.text
    if posted.status_code != 200:
        return posted.text
    answer = http.get(f"{API}/queue/data", params=session)
    assert is_harmless(answer), answer.text
    return answer.text


def test_forged_events_are_refused(http: httpx.Client) -> None:
    for fields in (
        {"fn_index": 10**9}, {"fn_index": -1}, {"fn_index": "x"}, {"fn_index": None}, {"trigger_id": 10**9},
        {"fn_index": 0, "batched": True}, {"fn_index": 0, "event_data": {"__class__": "x"}},
        {"fn_index": 0, "request": {"client": "x"}}, {"fn_index": 0, "oauth_token": "x"}, {"data": {"a": 1}},
        {"data": ["a"] * 2000, "fn_index": 0},
    ):  # fmt: skip
        join(http, fields)


def forged(http: httpx.Client) -> Iterator[dict[str, Any]]:
    """Yield an event for each field of each event and each of `VALUES`; the others are as on the page."""
    config = http.get("/config").json()
    shown = {each["id"]: each["props"].get("value") for each in config["components"]}
    for event in config["dependencies"]:
        if event["backend_fn"]:
            for field in range(len(event["inputs"])):
                for value in VALUES:
                    data = [shown[component] for component in event["inputs"]]
                    data[field] = value
                    yield {"fn_index": event["id"], "data": data, "event_data": value}


def test_values_of_any_type_do_no_harm(http: httpx.Client) -> None:
    """A sample; `test_all_values_in_all_fields` tries them all."""
    events = list(forged(http))[::97]
    assert len(events) > 10
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda event: join(http, event), events))
    assert all(answers)
    assert http.post(f"{API}/call/search_text", json={"data": ["a dog", 1, ""]}).status_code == 200


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_all_values_in_all_fields(http: httpx.Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda event: join(http, event), forged(http)))


ROUTES = [
    *((method, API + path) for method in ("GET", "POST") for path in (
        "/queue/join", "/queue/data", "/queue/data?session_hash=x", "/queue/status", "/call/search_text",
        "/call/nothing", "/call/search_text/nothing", "/call/v2/search_text", "/call/v2/nothing",
        "/run/predict", "/run/search_text", "/run/nothing", "/upload", "/cancel", "/reset",
        "/component_server/", "/info", "/startup-events", "/upload_progress?upload_id=x", "/file=",
        "/file=%00", "/file=%ff", "/mcp/", "/mcp/sse/x",
    )),
    *(("GET", path) for path in (
        "/?q=%00", "/?k=" + "9" * 5000, "/?deep_link=..", "/?__theme=x", "/thumbnails/", "/thumbnails/%ff/x",
        "/thumbnails/picturebook/%00", "/files/%00", "/static/%00", "/assets/%2e%2e/x", "/svelte/%00",
        "/config?page=x", "/%ff", "//x",
    )),
]  # fmt: skip
BODIES = [
    b"", b"null", b"[]", b"0", b'""', b"{", b"\xff", b'{"data":null}', b'{"data":{}}', b'{"data":[[[[]]]]}',
    b'{"session_hash":{"a":1},"data":[]}', b'{"component_id":-1,"fn_name":"x","data":[],"session_hash":"x"}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nothing"}}',
]  # fmt: skip


def test_no_route_fails(http: httpx.Client) -> None:
    for method, path in ROUTES:
        for body in BODIES if method == "POST" else BODIES[:1]:
            with http.stream(method, path, content=body, headers={"Accept": "*/*"}) as answer:
                assert answer.status_code < 500, (method, path, body)
                assert answer.status_code != 429
    assert http.get("/").status_code == 200


def test_a_body_beyond_the_limit_is_refused_quickly(http: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        yield from (b"x" * 2**16 for _ in range(320))

    large = json.dumps({"data": ["x" * 20_000_000, 1, ""]}).encode()
    for content in (large, chunks()):
        answer = http.post(f"{API}/call/search_text", content=content)
        assert answer.status_code == 413
        assert answer.elapsed.total_seconds() < 20


def hostile_pictures() -> Iterator[bytes]:
    """Yield damaged, cut, mislabelled and very large pictures of all formats."""
    noise = Image.effect_noise((48, 32), 80).convert("RGB")
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "TGA", "ICO", "PDF", "EPS"):
        file = BytesIO()
        noise.save(file, kind)
        content = file.getvalue()
        yield content
        for cut in (1, 10, len(content) // 2, len(content) - 1):
            yield content[:cut]
        for place in range(0, len(content), max(1, len(content) // 8)):
            yield content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]
    large = BytesIO()
    Image.new("1", (20_000, 20_000)).save(large, "PNG")
    yield large.getvalue()
    yield from (b"", b"GIF89a", b"<svg xmlns='x'/>", b"%!PS-Adobe\n", b"II*\0" + b"\xff" * 100, bytes(1000))


def search_with(http: httpx.Client, picture: bytes) -> str:
    uploaded = http.post(f"{API}/upload", files={"files": ("picture.png", picture)})
    assert uploaded.status_code == 200, uploaded.text
    body = {"data": [{"path": uploaded.json()[0]}, 1, ""], "session_hash": secrets.token_hex(8)}
    event = http.post(f"{API}/call/search_image", json=body).json()["event_id"]
    answer = http.get(f"{API}/call/search_image/{event}")
    assert is_harmless(answer), answer.text
    return answer.text


def test_hostile_pictures_are_answered_or_refused(http: httpx.Client) -> None:
    """A sample; `test_all_hostile_pictures` tries them all."""
    for picture in list(hostile_pictures())[::13]:
        answer = search_with(http, picture)
        assert answer.startswith("event: complete") or "This picture cannot be used" in answer


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_all_hostile_pictures(http: httpx.Client) -> None:
    pictures = list(hostile_pictures())
    assert len(pictures) > 150
    for picture in pictures:
        answer = search_with(http, picture)
        assert answer.startswith("event: complete") or "This picture cannot be used" in answer


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a picture that was not uploaded, with a mark that no answer may contain."""
    path = tmp_path / "secret.png"
    about = PngInfo()
    about.add_text("mark", MARK)
    Image.new("RGB", (32, 32)).save(path, pnginfo=about)
    return path


MARK = "private-mark-of-the-server"
PLACES = [
    "/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy=", "/thumbnails/picturebook/",
    "/thumbnails/",
    "/files/", "/static/", "/assets/", "/svelte/", "/verdicts/", "/",
]  # fmt: skip


def spellings(path: Path) -> list[str]:
    """Return addresses of a file as servers have been fooled with."""
    name = path.as_posix()
    return [
        name, name.lstrip("/"), f"/{name}", f"//{name}", f"file://{name}", f"file:{name}", f"{name}/",
        f"{name}/.", f"{name}%00.png", f"{name}?x", f"{name}#x", f"./{name}", f"~{name}", quote(name),
        quote(name, safe=""), quote(quote(name, safe="")), name.replace("/", "\\"), name.replace("/", "%5c"),
        *("../" * depth + name.lstrip("/") for depth in (1, 3, 8, 20)),
        *("..%2f" * depth + quote(name.lstrip("/"), safe="") for depth in (1, 3, 8)),
        *("%2e%2e/" * depth + name.lstrip("/") for depth in (3, 8)),
        *("..;/" * depth + name.lstrip("/") for depth in (3, 8)),
        *("....//" * depth + name for depth in (3, 8)),
    ]  # fmt: skip


def targets(secret: Path) -> list[Path]:
    galleries = cache_dir("galleries").glob("*")
    inside = [folder / name for folder in galleries for name in ("manifest.json", "items.parquet")]
    return [secret, Path("/etc/passwd"), Path("/proc/self/environ"), Path(__file__), *inside[:2]]


def get(http: httpx.Client, path: str) -> bytes:
    """Return an answer, of whatever status; unlike httpx, this sends the path as it is."""
    connection = HTTPConnection(http.base_url.host, http.base_url.port, timeout=60)
    try:
        connection.putrequest("GET", path.replace(" ", "%20"), skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status < 500, path
        return answer.read() if answer.status == 200 else b""
    finally:
        connection.close()


def leaks(content: bytes) -> bool:
    return any(
        each in content
        for each in (MARK.encode(), b"root:x:", b"PATH=", b"def leaks", b"PAR1", b'"checksum"')
    )


def probe(http: httpx.Client, secret: Path, every: int) -> int:
    """Ask for every n-th of all combinations of target, spelling and place; return how many."""
    texts = [spelling for target in targets(secret) for spelling in spellings(target)]
    asked = [place + text for text in texts for place in PLACES][::every]
    for address in asked:
        assert not leaks(get(http, address)), address
    for text in texts[::every]:
        session = {"session_hash": secrets.token_hex(8)}
        picture = {"path": text, "url": text, "meta": {"_type": "gradio.FileData"}}
        body = {"data": [picture, 1, ""], **session}
        event = http.post(f"{API}/call/search_image", json=body).json()["event_id"]
        assert "not among the uploads" in http.get(f"{API}/call/search_image/{event}").text
    return len(asked) + len(texts[::every])


def test_no_spelling_of_a_path_reads_a_file(http: httpx.Client, secret: Path) -> None:
    """A sample; `test_all_spellings_of_a_path` tries them all."""
    assert probe(http, secret, every=23) > 80


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_all_spellings_of_a_path(http: httpx.Client, secret: Path) -> None:
    assert probe(http, secret, every=1) > 2000
