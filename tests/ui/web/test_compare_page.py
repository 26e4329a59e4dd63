"""The Compare page in a real browser."""

import csv
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.ui


def parameters(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def columns(page: Page) -> Locator:
    return page.locator("#results .column")


def open_page(page: Page, app_url: str, search: str = "?q=a+dog") -> None:
    page.goto(f"{app_url}/compare{search}")
    expect(columns(page)).to_have_count(2, timeout=180_000)  # the second model is loaded at its first use


def test_a_picture_or_words_are_another_comparison_and_back_restores_the_one_before(
    page: Page, app_url: str
) -> None:
    open_page(page, app_url)
    expect(page.locator("#query textarea")).to_have_value("a dog")
    first = page.locator("#results li").first
    item = first.get_attribute("data-item")
    first.locator("button").click()
    page.wait_for_url("**item=*")
    assert parameters(page)["item"] == [item]
    expect(page.locator("#results h2")).to_have_text("Pictures like this one")
    page.locator("#query textarea").fill("a red car at night")
    page.locator("#query textarea").press("Enter")
    page.wait_for_url("**q=a+red+car+at+night**")
    expect(page.locator("#results h2")).to_contain_text("a red car at night")
    page.go_back()
    page.go_back()
    expect(page.locator("#results h2")).to_contain_text("a dog")
    expect(page.locator("#query textarea")).to_have_value("a dog")
    page.reload()
    expect(page.locator("#results h2")).to_contain_text("a dog")


def test_a_picture_that_has_the_focus_is_marked_in_all_columns(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    item = page.locator("#results .lines path").first.get_attribute("data-item")
    page.locator(f'#results li[data-item="{item}"] button').first.focus()
    expect(page.locator("#results li.on")).to_have_count(2)
    expect(page.locator("#results path.on")).to_have_count(1)


def test_a_blind_comparison_is_resolved_by_the_vote(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    expect(page.locator("#telling button").first).to_be_visible(timeout=180_000)
    expect(page.locator("#measures table")).to_be_visible()
    page.get_by_role("button", name="Blind comparison").click()
    expect(columns(page).locator("h3")).to_have_text(["Model A", "Model B"])
    expect(page.locator("#results .fact")).to_have_count(0)
    expect(page.locator("#measures table")).to_have_count(0)
    page.get_by_role("button", name="B is better").click()
    expect(page.locator("#results .badge")).to_have_text("your choice")
    expect(page.locator("#results .fact").first).to_be_visible()
    chosen = columns(page).nth(1).locator("h3").inner_text().split(" your")[0].strip()
    expect(page.locator("#tally")).to_have_text(f"Your votes: {chosen} 1")
    with page.expect_download() as download:
        page.get_by_role("button", name="Your votes as CSV").click()
    [vote] = csv.DictReader(download.value.path().read_text("utf-8").splitlines())
    assert (vote["query"], vote["vote"]) == ("a dog", chosen)
    assert chosen in vote["models"].split(" | ")
    page.get_by_role("button", name="Next blind query").click()
    expect(columns(page).locator("h3")).to_have_text(["Model A", "Model B"])
    assert parameters(page)["q"] != ["a dog"]
    page.go_back()
    expect(page.locator("#results .badge")).to_be_visible()
    expect(page.locator("#tally")).to_have_text(f"Your votes: {chosen} 1")
    page.get_by_role("button", name="Show names").click()
    expect(page.locator("#measures table")).to_be_visible()


def test_a_browser_that_keeps_nothing_counts_votes_until_the_page_is_closed(page: Page, app_url: str) -> None:
    page.add_init_script("""Storage.prototype.getItem = Storage.prototype.setItem = () => {
      throw new DOMException('denied', 'SecurityError');
    };""")
    open_page(page, app_url, "?q=a+dog&blind=1")
    page.get_by_role("button", name="No difference").click()
    expect(page.locator("#tally")).to_have_text("Your votes: no difference 1")


def test_the_picture_of_the_visitor_is_compared(page: Page, app_url: str, tmp_path: Path) -> None:
    Image.new("RGB", (200, 160), "green").save(tmp_path / "green.png")
    open_page(page, app_url)
    page.locator("#picture input[type=file]").set_input_files(tmp_path / "green.png")
    page.wait_for_url("**picture=own**")
    expect(page.locator("#results h2")).to_have_text("Pictures like yours")
    expect(columns(page)).to_have_count(2)
    page.go_back()
    expect(page.locator("#results h2")).to_contain_text("a dog")


def test_wrong_choices_and_hostile_queries_are_answered_in_words(page: Page, app_url: str) -> None:
    open_page(page, app_url, "?q=%3Cimg+src%3Dx+onerror%3D%22window.hacked%3D1%22%3E")
    expect(page.locator("#results h2")).to_contain_text("<img src=x")
    assert page.evaluate("window.hacked") is None
    page.locator("#models label").filter(has=page.locator("input:checked")).first.click()
    expect(page.locator("#status .note")).to_have_text(re.compile("1 models are selected; choose 2 to 6"))
    page.goto(f"{app_url}/compare?m=%3Cb%3E&m=picturebook")
    expect(page.locator("#status .note")).to_contain_text("No gallery is called '<b>'")
