"""An app whose thumbnails are on another server, in a real browser, which never asks that server."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.gallery import Gallery
from itr_core.pairs import load_pairs
from tests.stores import StoreServer, served_store
from tests.ui.server import HTTP, served_app

pytestmark = pytest.mark.ui


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    folder = tmp_path_factory.mktemp("data")
    encoder = load_encoder("starter:infonce", device="cpu")
    gallery = Gallery.build(load_pairs("picturebook:gallery@40"), encoder, folder / "gallery")
    shutil.move(gallery.path / "thumbnails", folder / "moved")
    return gallery


@pytest.fixture(scope="module")
def store(gallery: Gallery) -> Iterator[StoreServer]:
    with served_store(gallery.path.parent / "moved") as store:
        yield store


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("app") / "log.txt"


@pytest.fixture(scope="module")
def url(gallery: Gallery, store: StoreServer, log: Path) -> Iterator[str]:
    options = ["--thumbnails", f"{gallery.path}={store.prefix}"]
    with served_app(log, str(gallery.path), options=options) as url:
        yield url
    assert "Traceback" not in log.read_text()


def test_pictures_come_from_the_app_and_searches_go_on_without_the_store(
    chromium: Browser, url: str, store: StoreServer, log: Path
) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    pictures = page.locator("#results img")

    def show(address: str) -> None:
        page.goto(url + address)
        expect(pictures).to_have_count(4)
        page.wait_for_function(
            "[...document.querySelectorAll('#results img')].every((each) => each.complete)"
        )
        assert pictures.evaluate_all("all => all.map((each) => each.naturalWidth)") == [224] * 4

    store.requests.clear()  # of the start, which looks for a thumbnail
    show("/?q=a+red+car&k=4")
    assert len(store.requests) == 4
    show("/?q=a+red+car&k=4")
    assert len(store.requests) == 4  # kept in memory
    store.status = 503
    show("/?q=a+lighthouse+on+a+hill&k=4")  # with placeholders
    assert "the store of thumbnails" in log.read_text()
    hosts = {httpx.URL(each).netloc for each in asked if each.startswith("http")}
    assert hosts == {httpx.URL(url).netloc}
    page.close()
    store.status = 200


def test_the_route_answers_with_listed_files_only(url: str, gallery: Gallery) -> None:
    name = gallery.column("thumbnail")[0]
    found = HTTP.get(f"{url}/thumbnails/gallery/{name.removeprefix('thumbnails/')}")
    while found.status_code == 503:  # until the store, which was away, is asked again
        found = HTTP.get(found.url)
    assert found.headers["content-type"] == "image/webp"
    assert len(found.content) == gallery.manifest.files[name].size
    assert "script-src" in found.headers["content-security-policy"]
    known = HTTP.get(found.url, headers={"If-None-Match": found.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    for other in ("000/999999.webp", "..%2Fmanifest.json"):
        assert HTTP.get(f"{url}/thumbnails/gallery/{other}").status_code == 404
