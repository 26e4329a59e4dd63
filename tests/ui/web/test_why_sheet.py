"""The side sheet "Why?" and refined searches in a real browser."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.ui.web.test_search_page import CARDS, heading, open_page, search

pytestmark = pytest.mark.ui

SHEET = "dialog.why[open]"
QUERY = "?q=a+red+car+at+night&g=picturebook"


def open_sheet(page: Page, number: int = 1) -> None:
    page.locator("#results button[data-why]").nth(number - 1).click()
    expect(page.locator(f"{SHEET} .strip li").first).to_be_visible()


def test_words_are_struck_and_swapped_and_back_closes_the_sheet(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/{QUERY}")
    button = page.locator("#results button[data-why]").nth(1)
    item = button.get_attribute("data-why")
    open_sheet(page, 2)
    assert f"#why={item}" in page.url
    sheet = page.locator(SHEET)
    expect(sheet.locator(".now")).to_contain_text("number 2")
    without = sheet.locator("[data-word='1'] small").inner_text()
    sheet.locator("[data-word='1']").click()
    expect(sheet.locator("[data-word='1']")).to_have_attribute("aria-pressed", "true")
    expect(sheet.locator(".text")).to_have_value("a car at night")
    expect(sheet.locator(".now")).to_contain_text(f"“a car at night”: this picture is number {without}")
    sheet.locator("[data-word='2']").click()  # two words at once are ranked by the server
    expect(sheet.locator(".now")).to_contain_text("“a at night”")
    sheet.locator(".text").fill("a boat on the sea")
    expect(sheet.locator(".now")).to_contain_text("“a boat on the sea”")
    expect(sheet.locator(".strip .this")).to_have_count(1)
    swap = sheet.locator("[data-swap]").first
    expect(swap).to_have_text(re.compile("^a .+ car at night$"))
    swap.click()
    expect(sheet.locator(".now")).to_contain_text(f"“{swap.inner_text()}”")
    sheet.get_by_role("button", name="Undo all").click()
    expect(sheet.locator(".now")).to_contain_text("Your words: this picture is number 2")
    page.go_back()
    expect(page.locator(SHEET)).to_have_count(0)
    expect(button).to_be_focused()
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
    heading(page, "a red car at night")


def test_the_sheet_is_used_by_keyboard_and_holds_the_focus(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/{QUERY}")
    opener = page.locator("#results button[data-why]").first
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"{SHEET} .strip li").first).to_be_visible()
    expect(page.locator(f"{SHEET} .close")).to_be_focused()
    for _ in range(14):
        page.keyboard.press("Tab")
        assert page.evaluate("!document.activeElement.closest('#results, #search-form, nav')")
    page.keyboard.press("Escape")
    expect(page.locator(SHEET)).to_have_count(0)
    expect(opener).to_be_focused()
    page.wait_for_function("!location.hash")


def test_a_link_to_a_sheet_opens_it_and_hostile_ones_get_a_note(page: Page, app_url: str) -> None:
    item = "gallery-000003.png"
    page.goto(f"{app_url}/{QUERY}#why={item}")
    expect(page.locator(f"{SHEET} h2")).to_contain_text("Why is this picture number")
    page.reload()
    expect(page.locator(f"{SHEET} .wrong li")).to_have_count(3)
    page.locator(f"{SHEET} .close").click()
    page.wait_for_function("!location.hash")
    page.goto(f"{app_url}/{QUERY}&k=11#why=%3Cimg%20src=x%20onerror=window.hacked=1%3E")
    expect(page.locator(f"{SHEET} .note")).to_contain_text("There is no image")
    assert page.evaluate("window.hacked") is None


def test_a_server_that_does_not_answer_is_said_in_the_sheet(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/{QUERY}")
    page.route("**/component_server/**", lambda route: route.abort())
    page.locator("#results button[data-why]").first.click()
    expect(page.locator(f"{SHEET} .note")).to_have_text("The server did not answer. Try again.")
    expect(page.locator(SHEET)).not_to_contain_text("Ranking")


def test_hostile_captions_stay_text_in_the_sheet(page: Page, app_url: str, nasty: str) -> None:
    open_page(page, f"{app_url}/?g=nasty&q=<b>green</b>")
    open_sheet(page)
    expect(page.locator(f"{SHEET} .hint").first).to_contain_text(nasty)
    expect(page.locator(f"{SHEET} [data-word]")).to_contain_text("<b>green</b>")
    page.locator(f"{SHEET} .text").fill("<i>${window.hacked=3}</i>")
    expect(page.locator(f"{SHEET} .now")).to_contain_text("<i>${window.hacked=3}</i>")
    assert page.evaluate("window.hacked") is None


@pytest.fixture
def phone(chromium: Browser, app_url: str) -> Iterator[Page]:
    page = chromium.new_page(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    yield page
    page.close()


def test_on_a_phone_the_sheet_is_at_the_bottom_and_nothing_moves(phone: Page, app_url: str) -> None:
    open_page(phone, f"{app_url}/{QUERY}")
    open_sheet(phone)
    box = phone.locator(SHEET).bounding_box()
    assert box is not None
    assert box["x"] == 0
    assert box["width"] >= 390 - 15  # this browser keeps space for a scroll bar, a phone does not
    assert box["y"] > 60
    assert box["y"] + box["height"] == pytest.approx(844, abs=1)
    phone.locator(f"{SHEET} [data-word='2']").click()
    assert phone.evaluate("document.querySelector('dialog.why').getAnimations({subtree: true}).length") == 0
    assert phone.evaluate("document.querySelector('dialog.why').scrollWidth <= 390")


def test_minus_terms_are_shown_next_to_the_words_once(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?q=a+street+without+cars&g=picturebook")
    grids = page.locator(".two-grids .results")
    expect(grids).to_have_count(2)
    expect(grids.last.locator("h2")).to_have_text("Pictures for “a street” minus “cars”")
    grids.last.locator("button[data-why]").first.click()
    expect(page.locator(f"{SHEET} .text")).to_have_value("a street")
    expect(page.locator(f"{SHEET} h2")).to_contain_text("number 1?")
    page.go_back()
    search(page, "a beach without people")
    heading(page, "Pictures for “a beach without people”")
    expect(grids).to_have_count(0)
    chip = page.locator(".refine [data-refine=minus]")
    expect(chip).to_have_attribute("aria-pressed", "false")
    chip.click()
    heading(page, "Pictures for “a beach” minus “people”")
    page.wait_for_url("**minus=1*")
    search(page, "a red car")
    heading(page, "a red car")
    expect(page.locator(".refine [data-refine=minus]")).to_have_count(0)


def test_a_picture_is_searched_for_with_a_change_and_labels(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?q=a+dog+during+the+day&g=picturebook")
    page.locator("#results button[data-more]").first.click()
    heading(page, "Similar pictures")
    page.wait_for_url("**only=pictures*")
    page.locator(".change [name=but]").fill("at night")
    page.locator(".change [name=but]").press("Enter")
    heading(page, "Like this, but “at night” instead of “")
    expect(page.locator(".change [name=instead]")).to_have_value(re.compile("day|sunset"))
    page.wait_for_url("**but=at+night*")
    choice = page.locator("select[data-refine=label]")
    label, count = re.findall(r"(.+) \((\d+)\)", choice.locator("option").nth(1).inner_text())[0]
    choice.select_option(label)
    page.wait_for_url(f"**label={label.replace(' ', '+')}*")
    expect(page.locator(CARDS)).to_have_count(min(12, int(count)))
    page.reload()
    expect(page.locator(".labels .chip")).to_have_text(label)
    heading(page, "Like this, but “at night”")
    second, both = re.findall(r"(.+) \((\d+)\)", choice.locator("option").nth(1).inner_text())[0]
    choice.select_option(index=1)
    expect(page.locator(".labels .chip")).to_have_text([label, second])
    expect(page.locator(CARDS)).to_have_count(min(12, int(both)))
    page.locator(".labels .chip").first.click()
    expect(page.locator(".labels .chip")).to_have_text([second])
