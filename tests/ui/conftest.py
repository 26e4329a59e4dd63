"""A served app with two small galleries, and a real browser."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.ui.browser import PATIENCE, opened_browser
from tests.ui.server import served_app


@pytest.fixture(scope="session")
def nasty() -> str:
    """Return a caption that an unsafe page would execute."""
    return "<img src=x onerror='window.hacked=1'> ${window.hacked=2} {{nasty}} `tick`"


@pytest.fixture(scope="session")
def nasty_folder(nasty: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of three pictures with hostile captions and file names."""
    folder = tmp_path_factory.mktemp("data") / "nasty"
    folder.mkdir()
    rows = []
    for number, colour in enumerate(["red", "green", "blue"]):
        name = f"'\"><b>{number}.png"
        Image.new("RGB", (64, 48), colour).save(folder / name)
        rows.append(json.dumps({"file_name": name, "caption": f"{nasty} {number}"}))
    (folder / "metadata.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def app_url(nasty_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the app with two galleries in another process; return its address once it answers."""
    log = tmp_path_factory.mktemp("app") / "log.txt"
    with served_app(log, "picturebook:gallery@80", f"folder:{nasty_folder}") as url:
        yield url
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with opened_browser() as browser:
        browser.on("context", lambda context: context.set_default_timeout(PATIENCE))
        yield browser


@pytest.fixture
def page(chromium: Browser, app_url: str) -> Iterator[Page]:
    """Open a page; requests to other hosts, failed requests and errors of its scripts fail the test."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    faults: list[str] = []
    home = (app_url, "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(home) else faults.append(f"foreign {r.url}"))
    page.on("response", lambda r: faults.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.on("pageerror", lambda error: faults.append(f"error {error}"))
    yield page
    page.close()
    assert faults == []


@pytest.fixture(scope="module")
def shared(chromium: Browser) -> Iterator[Page]:
    """One page for all tests of this file, which each open their own address; errors of scripts fail it."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []
