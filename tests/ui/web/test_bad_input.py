"""What visitors can send by accident or on purpose is answered in words, and the page goes on."""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.ui.web.test_search_page import CARDS, NOTE, heading, open_page, search

pytestmark = pytest.mark.ui

REFUSED = "This picture cannot be used: "


def odd_pictures(folder: Path) -> dict[str, str | None]:
    """Write odd files; return their names with the reason of a refusal, None for those that are used."""
    photo = Image.effect_noise((90, 60), 80).convert("RGB")
    photo.save(folder / "whole.png")
    content = (folder / "whole.png").read_bytes()
    (folder / "renamed.jpg").write_bytes(content)
    (folder / "truncated.png").write_bytes(content[: len(content) // 2])
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("not an image")
    Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    Image.new("1", (1, 1)).save(folder / "dot.png")
    photo.save(folder / "animated.gif", save_all=True, append_images=[photo.rotate(90)])
    return {
        "text.png": "not a JPEG, PNG", "empty.png": "", "truncated.png": "truncated or damaged",
        "bomb.png": "too many pixels; the limit is 25", "dot.png": None, "renamed.jpg": None,
        "animated.gif": None,
    }  # fmt: skip


def test_odd_pictures_are_used_or_refused_in_words(page: Page, app_url: str, tmp_path: Path) -> None:
    open_page(page, app_url)
    for name, reason in odd_pictures(tmp_path).items():
        page.locator("#picture input[type=file]").set_input_files(tmp_path / name)
        if reason is not None:
            expect(page.locator(NOTE)).to_contain_text(f"{REFUSED}{reason}")
        else:
            heading(page, "Matching captions")
        search(page, "a ship")
        heading(page, "a ship")


@pytest.mark.parametrize("path", ["", "compare"])
def test_odd_words_are_searched_for_and_stay_text(page: Page, app_url: str, path: str) -> None:
    page.goto(f"{app_url}/{path}")
    for words in (
        "مدينة على البحر", "🦓🏳️‍🌈", "<script>window.hacked=1</script>", "<img src=x onerror=window.hacked=1>",
        "${window.hacked=1} {{7*7}} `x`", "a\u202eship", "'; DROP TABLE pictures; --", "car " * 2500,
    ):  # fmt: skip
        search(page, words)
        heading(page, f"Pictures for “{words[:20].strip()}")
        expect(page.locator("#results img").first).to_be_visible()
    assert page.evaluate("window.hacked") is None


def test_null_bytes_in_a_link_are_left_out(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?q=a%00red%00car")
    heading(page, "Pictures for “a")


def test_two_tabs_of_a_visitor_do_not_disturb_each_other(chromium: Browser, app_url: str) -> None:
    visitor = chromium.new_context()
    one, other = visitor.new_page(), visitor.new_page()
    for tab, words in ((one, "a red car"), (other, "a ship")):
        open_page(tab, app_url)
        search(tab, words)
    heading(one, "a red car")
    heading(other, "a ship")
    other.close()
    search(one, "two dogs")
    heading(one, "two dogs")
    expect(one.locator(CARDS).first).to_be_visible()
    visitor.close()


def test_reloading_and_leaving_in_the_middle_of_a_search(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    for _ in range(3):
        search(page, "three penguins")
        page.wait_for_url("**q=three+penguins**")
        page.reload(wait_until="commit")
    heading(page, "three penguins")
    search(page, "a red boat")
    page.goto(f"{app_url}/stage")
    page.go_back()
    heading(page, "a red boat")
