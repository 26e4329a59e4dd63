"""Visitors search their own pictures: the page in a real browser, and requests of strangers."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.ui.server import http_client

pytestmark = pytest.mark.ui

READY, WORK = ".own-ready", ".own-work"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return three pictures, one large enough to be sent smaller, a broken one, and their captions."""
    folder = tmp_path_factory.mktemp("photos")
    for name, colour in (("sea.png", "navy"), ("grass.png", "green")):
        Image.new("RGB", (120, 90), colour).save(folder / name)
    Image.effect_noise((3000, 2000), 90).convert("RGB").save(folder / "large.jpg")
    (folder / "cut.jpg").write_bytes((folder / "large.jpg").read_bytes()[:400_000])
    (folder / "captions.txt").write_text("sea.png,my <b>blue</b> `sea` ${1}\ngrass.png,my green lawn\n")
    return sorted(folder.iterdir())


@pytest.fixture
def visitor(app_url: str) -> Iterator[httpx.Client]:
    """Return a program with cookies of its own."""
    with http_client(app_url) as http:
        yield http
        http.post("own/remove")


def on_disk(key: str) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"pairscope-uploads-*/own/{key}"))


def send(visitor: httpx.Client, files: dict[str, bytes], query: str = "begin") -> httpx.Response:
    return visitor.post(f"own/pictures?{query}", files=[("files", each) for each in files.items()])


def choose(page: Page, url: str, photos: list[Path]) -> None:
    page.goto(url)
    expect(page.locator("#results .results").first).to_be_visible()
    page.locator(".own input").set_input_files([str(photo) for photo in photos])


def state_is(page: Page, *wanted: str) -> None:
    """Wait until the pictures of the page's visitor are in one of these states."""
    end = time.monotonic() + 120
    while page.evaluate("fetch('own/state').then(a => a.json()).then(a => a.state)") not in wanted:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_pictures_can_be_searched_by_their_visitor_only_until_they_are_deleted(
    page: Page, app_url: str, photos: list[Path], chromium: Browser
) -> None:
    choose(page, app_url, photos)
    expect(page.locator(READY)).to_contain_text("3 pictures of yours with 2 captions", timeout=400_000)
    expect(page.locator("#status .how")).to_contain_text("3 pictures of your pictures")
    page.locator(".own-skipped summary").click()
    expect(page.locator(".own-skipped li")).to_contain_text("cut.jpg: truncated or damaged")
    page.locator("#query textarea").fill("my blue sea")
    page.locator("#query textarea").press("Enter")
    expect(page.locator("#results .cards li")).to_have_count(3)
    expect(page.locator("#results .caption").first).to_have_text("my <b>blue</b> `sea` ${1}")
    assert page.locator("#results img").evaluate_all("all => all.every(i => i.naturalWidth > 0)")
    key = page.evaluate("fetch('own/state').then(a => a.json()).then(a => a.set)")
    assert len(on_disk(key)) == 1

    page.reload()  # the pictures are still there
    expect(page.locator("#results .caption").first).to_have_text("my <b>blue</b> `sea` ${1}")
    expect(page.locator(READY)).to_be_visible()

    stranger = chromium.new_context().new_page()
    stranger.goto(page.url)
    expect(stranger.locator("#status .note")).to_contain_text("those of somebody else")
    expect(stranger.get_by_label("Pictures", exact=True)).not_to_contain_text("your pictures")
    stranger.context.close()

    page.get_by_role("button", name="Delete them now").click()
    expect(page.locator("#status .how")).to_contain_text("picturebook")
    expect(page.locator(READY)).to_be_hidden()
    assert on_disk(key) == []


def test_the_work_can_be_cancelled_and_survives_a_reload(
    page: Page, app_url: str, photos: list[Path]
) -> None:
    choose(page, app_url, photos)
    expect(page.locator(WORK)).to_be_visible()
    state_is(page, "building", "ready")
    page.reload()
    expect(page.locator(f"{WORK}, {READY}").filter(visible=True)).to_have_count(1)
    if page.locator(WORK).is_visible():
        page.get_by_role("button", name="Cancel").click()
    else:
        page.get_by_role("button", name="Delete them now").click()
    expect(page.locator(WORK)).to_be_hidden()
    state_is(page, "none")


def test_a_server_that_cannot_be_reached_is_said_in_words(
    page: Page, app_url: str, photos: list[Path]
) -> None:
    page.route("**/own/pictures?*", lambda route: route.abort())
    choose(page, app_url, photos)
    expect(page.locator(".own-problem")).to_contain_text("The server cannot be reached. Drop your pictures")
    expect(page.locator(".own-drop")).to_be_visible()


def test_the_reason_is_shown_if_no_picture_can_be_used(page: Page, app_url: str, tmp_path: Path) -> None:
    (tmp_path / "words.jpg").write_text("no picture")
    choose(page, app_url, [tmp_path / "words.jpg"])
    expect(page.locator(".own-problem")).to_contain_text("words.jpg: not a JPEG, PNG", timeout=120_000)
    expect(page.locator(".own-problem")).not_to_contain_text("/")
    expect(page.locator(".own-drop")).to_be_visible()


def test_ids_of_others_are_refused(visitor: httpx.Client, app_url: str) -> None:
    key = send(visitor, {"a.png": b"x"}).json()["set"]
    with http_client(app_url) as stranger:
        assert stranger.get("own/state").json() == {"state": "none"}
        assert send(stranger, {"b.png": b"x"}, f"set={key}").status_code == 404
        assert stranger.post(f"own/build?set={key}", json={}).status_code == 404
        stranger.post("own/remove")
        own = send(stranger, {"b.png": b"x"}).json()["set"]
        assert own != key
        assert send(stranger, {"b.png": b"x"}, f"set={key}").status_code == 409
        stranger.post("own/remove")
    assert visitor.get("own/state").json()["files"] == 1
    assert "HttpOnly" in send(visitor, {"a.png": b"x"}).headers["set-cookie"]


@pytest.mark.parametrize("name", ["your pictures", "pairscope_own", "../own"])
def test_programs_cannot_name_the_pictures_of_a_visitor(name: str, app_url: str) -> None:
    with pytest.raises(AppError, match=r"somebody else|No gallery"):
        Client(app_url, verbose=False).predict("a dog", 1, name, api_name="/search_text")


def test_requests_that_make_no_sense_are_refused(visitor: httpx.Client) -> None:
    assert visitor.post("own/build?set=x", json={}).status_code == 404
    key = send(visitor, {}).json()["set"]
    assert visitor.post(f"own/build?set={key}", json={}).json()["detail"].startswith("There are no pictures")
    send(visitor, {"a.png": b"x"}, f"set={key}")
    unknown = visitor.post(f"own/build?set={key}", json={"gallery": ["x"]})
    assert (unknown.status_code, "No gallery" in unknown.text) == (400, True)
    assert send(visitor, {f"{n}.png": b"" for n in range(101)}, "begin").status_code == 400
    assert visitor.post("own/pictures", content=b"x" * (27 * 2**20)).status_code == 413


@pytest.mark.slow
def test_pictures_are_deleted_after_the_page_was_closed(
    chromium: Browser, app_url: str, photos: list[Path]
) -> None:
    page = chromium.new_context().new_page()
    choose(page, app_url, photos[-1:])
    state_is(page, "collecting", "building", "ready")
    key = page.evaluate("fetch('own/state').then(a => a.json()).then(a => a.set)")
    assert on_disk(key)
    page.close(run_before_unload=True)
    end = time.monotonic() + 150
    while on_disk(key):
        assert time.monotonic() < end
        time.sleep(1)
