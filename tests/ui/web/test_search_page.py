"""The search page in a real browser."""

import re
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from pillow_heif import register_heif_opener
from playwright.sync_api import Page, Route, expect

pytestmark = pytest.mark.ui

CARDS, CAPTIONS, NOTE = "#results .cards li", "#results .captions li", "#status .note >> nth=0"


def open_page(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator("#results .results").first).to_be_visible()


def search(page: Page, words: str) -> None:
    page.locator("#query textarea").fill(words)
    page.locator("#query textarea").press("Enter")


def heading(page: Page, text: str) -> None:
    expect(page.locator("#results h2").first).to_contain_text(text)


def show_unlikely(page: Page) -> None:
    """Open the part of the grid that is folded once the calibration calls its pictures unlikely."""
    page.locator("#results details.unlikely").evaluate_all("all => all.forEach(each => each.open = true)")


def test_the_page_opens_with_results(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    expect(page.locator(CARDS)).to_have_count(12)
    show_unlikely(page)
    pictures = page.locator(f"{CARDS} img")
    pictures.last.scroll_into_view_if_needed()
    page.wait_for_function("[...document.querySelectorAll('#results img')].every(i => i.complete)")
    assert all(pictures.evaluate_all("all => all.map(i => i.naturalWidth > 100)"))
    expect(page.locator("#status .how")).to_contain_text(re.compile(r"[\d.]+ ms over 80 pictures"))
    expect(page.locator("#picture img")).to_have_count(0)


def test_words_find_pictures_in_order_of_their_scores(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    search(page, "a house at night")
    heading(page, "a house at night")
    show_unlikely(page)
    scores = [float(text) for text in page.locator(f"{CARDS} .score").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    assert page.locator(f"{CARDS} .rank").all_inner_texts() == [f"{rank}" for rank in range(1, 13)]
    page.get_by_role("radio", name="24").check()
    expect(page.locator(CARDS)).to_have_count(24)


def test_the_link_reproduces_the_search(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    search(page, "red & white / 50% ship?")
    heading(page, "red & white / 50% ship?")
    page.wait_for_url("**/?q=red*")
    cards = page.locator(CARDS).all_inner_texts()
    open_page(page, page.url)
    heading(page, "red & white / 50% ship?")
    expect(page.locator("#query textarea")).to_have_value("red & white / 50% ship?")
    assert page.locator(CARDS).all_inner_texts() == cards


def test_a_click_on_a_result_searches_with_it(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    page.locator(f"{CARDS} button").first.click()
    heading(page, "Matching captions")
    expect(page.locator(CAPTIONS)).to_have_count(12)
    expect(page.locator(CARDS)).to_have_count(12)
    expect(page.locator("#picture img")).to_be_visible()
    page.wait_for_url("**/?item=*")
    caption = page.locator(f"{CAPTIONS} .text").first.inner_text()
    page.locator(f"{CAPTIONS} button").first.click()
    heading(page, f"Pictures for “{caption[:60]}")


@pytest.mark.parametrize(
    ("name", "kind"), [("photo.jpg", "JPEG"), ("photo.avif", "AVIF"), ("photo.HEIC", "HEIF")]
)
def test_an_uploaded_picture_finds_captions(
    name: str, kind: str, page: Page, app_url: str, tmp_path: Path
) -> None:
    photo = tmp_path / name
    register_heif_opener()
    Image.linear_gradient("L").resize((900, 600)).save(photo, kind)
    open_page(page, app_url)
    page.locator("#picture input[type=file]").set_input_files(photo)
    heading(page, "Matching captions")
    page.wait_for_function("document.querySelector('#picture img').naturalWidth > 0")  # the preview is shown
    scores = [float(text) for text in page.locator(f"{CAPTIONS} .score").all_inner_texts()]
    assert len(scores) == 12
    assert scores == sorted(scores, reverse=True)


def test_another_picture_replaces_the_one_before(page: Page, app_url: str, tmp_path: Path) -> None:
    """First a picture of the gallery, then two of the visitor."""
    open_page(page, app_url)
    page.locator("#results button[data-item]").first.click()
    shown = page.locator("#picture img")
    expect(shown).to_have_attribute("src", re.compile("thumbnails/"))
    for name in ("one.jpg", "two.jpg"):
        page.get_by_label("Remove Image").click()
        expect(shown).to_have_count(0)
        Image.linear_gradient("L").resize((90, 60)).save(tmp_path / name)
        page.locator("#picture input[type=file]").set_input_files(tmp_path / name)
        expect(shown).to_have_attribute("src", re.compile(name))
        expect(page.locator("#status")).to_contain_text("has no link")
        page.wait_for_function(f"history.state?.picture?.path.endsWith('{name}')")


def test_empty_long_and_unknown_queries_get_a_note(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    search(page, "   ")
    expect(page.locator(NOTE)).to_contain_text("type a few words")
    search(page, "a zeppelin over the sea")
    expect(page.locator(NOTE)).to_contain_text("do not contain “zeppelin”")
    search(page, "a red car and a blue car " * 40)
    expect(page.locator(NOTE)).to_contain_text("too long for the model")


def test_invalid_links_get_a_note(page: Page, app_url: str) -> None:
    for query in ("?item=nobody", "?g=elsewhere", "?k=0&q=car", "?k=9999&q=car"):
        page.goto(f"{app_url}/{query}")
        expect(page.locator(NOTE)).to_be_visible()
    search(page, "a ship")
    heading(page, "a ship")


def test_hostile_captions_stay_text(page: Page, app_url: str, nasty: str) -> None:
    open_page(page, f"{app_url}/?g=nasty&q=green")
    expect(page.locator(CARDS)).to_have_count(3)
    expect(page.locator(f"{CARDS} .caption").first).to_contain_text(nasty)
    page.locator(f"{CARDS} button").first.click()
    heading(page, "Matching captions")
    expect(page.locator(f"{CAPTIONS} .text").first).to_contain_text(nasty)
    page.locator(f"{CAPTIONS} button").first.click()
    heading(page, "Pictures for")
    assert page.evaluate("window.hacked") is None


def test_surprise_and_examples(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    page.get_by_role("button", name="red boat at sunset").click()
    heading(page, "red boat at sunset")
    page.get_by_role("button", name="Surprise me").click()
    expect(page.locator("#results h2").first).not_to_contain_text("red boat at sunset")
    assert page.locator("#query textarea").input_value()


def test_the_keyboard_is_enough(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    page.locator("#query textarea").focus()
    page.keyboard.type("a dog")
    page.keyboard.press("Enter")
    heading(page, "a dog")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.item !== undefined"):
            break
    page.keyboard.press("Enter")
    heading(page, "Matching captions")


def test_words_that_are_typed_when_the_first_query_appears_replace_it(page: Page, app_url: str) -> None:
    page.goto(app_url)
    expect(page.locator("#query textarea")).to_have_value(re.compile("."))
    page.keyboard.type("a ship")  # the box has the focus from the start
    page.keyboard.press("Enter")
    heading(page, "Pictures for “a ship”")


def test_the_focus_goes_to_the_results_of_an_opened_result(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    page.locator(f"{CARDS} button").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Matching captions")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(f"{CAPTIONS} button").first).to_be_focused()
    page.go_back()
    heading(page, "Pictures for")
    expect(page.get_by_role("heading", name="Pictures for")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_query_has_the_background_of_its_card(
    page: Page, app_url: str, scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme)
    open_page(page, app_url)
    background = "(each) => getComputedStyle(each).backgroundColor"
    inside = page.locator("#query textarea").evaluate(background)
    assert inside in {"rgba(0, 0, 0, 0)", page.locator("#query").evaluate(background)}


def test_of_quick_searches_the_last_one_is_shown(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    for words in ("a ship", "a red car", "a snowman"):
        search(page, words)
    page.locator("#examples button").nth(1).click()
    search(page, "a house")
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
    heading(page, "Pictures for “a house”")
    page.wait_for_url("**/?q=a+house*")
    page.wait_for_timeout(1000)
    heading(page, "Pictures for “a house”")
    expect(page.locator("#query textarea")).to_have_value("a house")


def test_what_is_being_typed_is_kept(page: Page, app_url: str) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/queue/join*", hold, times=1)
    page.goto(app_url)
    box = page.locator("#query textarea")
    box.press_sequentially("a ca")  # before the first results
    while not held:
        page.wait_for_timeout(50)
    held[0].continue_()
    expect(page.locator("#results .results").first).to_be_visible()
    expect(box).to_have_value("a ca")
    box.press_sequentially("stle")
    box.press("Enter")
    box.press_sequentially(" at night")
    heading(page, "Pictures for “a castle”")
    page.get_by_role("radio", name="24").check()
    expect(page.locator(CARDS)).to_have_count(24)
    expect(box).to_have_value("a castle at night")
    page.locator("#examples button").first.click()  # a click on another query replaces it
    expect(box).to_have_value(page.locator("#examples button").first.inner_text())


def test_a_picture_of_the_gallery_stays_one_when_options_change(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    item = page.locator(f"{CARDS} button").first.get_attribute("data-item")
    page.locator(f"{CARDS} button").first.click()
    heading(page, "Matching captions")
    page.get_by_role("radio", name="24").check()
    expect(page.locator(CARDS)).to_have_count(24)
    page.wait_for_url(f"**/?item={item}&k=24*")
    expect(page.locator(f"{CARDS} [data-item='{item}']")).to_have_count(0)  # it does not find itself


def test_opening_the_camera_keeps_the_results(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?q=a+ship&g=picturebook")
    heading(page, "a ship")
    page.get_by_role("button", name="Capture from camera").click()
    page.wait_for_timeout(1000)
    heading(page, "a ship")
    expect(page.locator("#query textarea")).to_have_value("a ship")
    assert "q=a+ship" in page.url


def test_examples_are_queries_of_the_open_gallery(page: Page, app_url: str, nasty: str) -> None:
    open_page(page, f"{app_url}/?g=nasty")
    expect(page.locator("#examples button")).to_have_text(
        [f"{nasty} {n}" for n in range(3)] + ["Surprise me"]
    )
    heading(page, "Pictures for")
    assert page.evaluate("window.hacked") is None


def test_the_caption_below_a_picture_is_said_to_be_the_closest(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?q=a+ship&g=picturebook")
    expect(page.locator("#results .hint")).to_contain_text("closest to your words")


def test_the_page_fits_the_width_of_a_phone(page: Page, app_url: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, app_url)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    columns = page.locator(f"{CARDS}:visible").evaluate_all(  # the calibration may fold unlikely pictures
        "all => new Set(all.map(c => Math.round(c.getBoundingClientRect().x))).size"
    )
    assert columns == 2
    page.locator(f"{CARDS} button").first.click()
    heading(page, "Matching captions")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
