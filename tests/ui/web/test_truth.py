"""Marks, switches, guessing and suggestions of the search page in a real browser."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.ui

MARKS = "#results .card .mark"


def open_search(page: Page, url: str, query: str, options: str = "") -> None:
    page.goto(f"{url}/?q={quote(query)}{options}")
    expect(page.locator("#results h2").first).to_contain_text(query[:40])


def test_the_number_of_right_pictures_is_that_of_the_marks(shared: Page, app_url: str) -> None:
    open_search(shared, app_url, "a house")
    expect(shared.locator(MARKS)).to_have_count(12)
    right = shared.locator(f"{MARKS}.right").count()
    said = re.compile(rf"{right} of the first 12 pictures (is|are) right; \d+ of 80 (is|are)\.")
    expect(shared.locator("#results .truth .count")).to_contain_text(said)
    for text in shared.locator(f"{MARKS}.wrong").all_text_contents():
        assert text == "✗ Wrong: no house"


def test_one_right_answer_is_in_the_address_and_can_be_undone(shared: Page, app_url: str) -> None:
    open_search(shared, app_url, "a house")
    caption = shared.locator("#results .card .caption").first.inner_text()
    open_search(shared, app_url, caption)
    shared.get_by_role("button", name="One right answer").click()
    expect(shared.locator(MARKS, has_text="The one right answer").first).to_be_visible()
    expect(shared.locator("#results .truth .count")).to_contain_text("R@1")
    shared.wait_for_url("**truth=one**")
    shared.reload()
    expect(shared.get_by_role("button", name="One right answer")).to_have_attribute("aria-pressed", "true")
    shared.get_by_role("button", name="Every right answer").click()
    expect(shared.get_by_role("button", name="Every right answer")).to_have_attribute("aria-pressed", "true")
    expect(shared.locator(MARKS, has_text="Also correct")).to_have_count(0)
    assert "truth" not in shared.url
    shared.go_back()
    expect(shared.get_by_role("button", name="One right answer")).to_have_attribute("aria-pressed", "true")


def test_guessing_hides_the_marks_until_the_truth_is_shown(shared: Page, app_url: str) -> None:
    open_search(shared, app_url, "a house")
    shared.get_by_role("button", name="Guess first").click()
    shared.wait_for_url("**guess=1**")
    cards = shared.locator("#results .card > button")
    expect(cards.first).to_have_attribute("aria-pressed", "false")
    expect(shared.locator(MARKS).first).to_be_hidden()
    expect(shared.locator("#results .truth .count")).to_be_hidden()
    for card in (cards.first, cards.last):  # the first is right, the last is wrong
        card.focus()
        shared.keyboard.press("Space")
        expect(card).to_have_attribute("aria-pressed", "true")
    shared.get_by_role("button", name="show the truth").click()
    expect(shared.locator(MARKS)).to_have_count(12)
    expect(shared.locator(MARKS).last).to_be_visible()
    right, last_is_wrong = (
        shared.locator(f"{MARKS}.right").count(),
        "Wrong" in shared.locator(MARKS).last.inner_text(),
    )
    expect(shared.locator("#results .truth .guess")).to_contain_text(
        f"You found {1 if last_is_wrong else 2} of {right} right"
    )
    cards.first.click()  # now it searches with the picture
    expect(shared.locator("#results h2").first).to_have_text("Matching captions")
    expect(shared.locator("#results .captions .mark").first).to_be_visible()


def test_a_word_that_nobody_has_met_is_offered_with_a_known_one(shared: Page, app_url: str) -> None:
    open_search(shared, app_url, "a red hosue")
    expect(shared.locator("#results .truth")).to_contain_text("Truth unknown for this wording.")
    expect(shared.locator(MARKS)).to_have_count(0)
    assert shared.locator("#query textarea").input_value() == "a red hosue"
    shared.locator("#status .meant button").click()
    expect(shared.locator("#query textarea")).to_have_value("a red house")
    expect(shared.locator(MARKS)).to_have_count(12)


def test_hostile_options_and_words_change_nothing(shared: Page, app_url: str) -> None:
    attack = "<img src=x onerror='window.hacked=1'> elefant"
    open_search(shared, app_url, attack, "&truth=%3Cb%3E&guess=2")
    expect(shared.locator("#results .truth")).to_contain_text("Truth unknown")
    assert shared.evaluate("window.hacked") is None
    assert "guess" not in shared.url
