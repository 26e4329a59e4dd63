"""The top of every page: choice of pictures and model, search bar, theme, type size, and About."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.ui.server import served_app

pytestmark = pytest.mark.ui

FIRST = "#results .cards img >> nth=0"


def test_the_chosen_model_stays_in_the_address_and_goes_along_to_other_pages(
    page: Page, app_url: str
) -> None:
    page.goto(f"{app_url}/?q=a+ship&k=12&g=picturebook")
    expect(page.locator(FIRST)).to_be_visible()
    before = page.locator("#results .score").all_inner_texts()
    page.get_by_label("Model", exact=True).select_option("cusa")
    page.wait_for_url("**/?q=a+ship&k=12&g=picturebook+%28cusa%29")
    expect(page.locator("#status")).to_contain_text("Building the gallery")
    assert page.locator("#query textarea").input_value() == "a ship"
    expect(page.locator("#status .how b")).to_be_visible(timeout=120_000)
    assert page.locator("#results .score").all_inner_texts() != before
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Analysis").click()
    page.wait_for_url("**/analysis?g=picturebook+%28cusa%29")
    expect(page.locator("#measures thead")).to_contain_text("picturebook (cusa)")
    assert page.get_by_label("Model", exact=True).locator("option:checked").inner_text() == "cusa"
    page.get_by_label("Model", exact=True).select_option("infonce")
    expect(page.locator("#measures thead")).not_to_contain_text("cusa")
    page.go_back()
    expect(page.locator("#measures thead")).to_contain_text("picturebook (cusa)")
    assert page.get_by_label("Model", exact=True).locator("option:checked").inner_text() == "cusa"


def test_the_search_bar_leads_to_a_search_in_the_chosen_gallery(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/analysis?g=nasty")
    page.get_by_role("searchbox").fill("a & b")
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url(re.compile(r"/\?q=a\+%26\+b.*g=nasty"))
    expect(page.locator("#query textarea")).to_have_value("a & b")
    expect(page.get_by_role("searchbox")).to_be_hidden()  # this page has a box of its own


def test_synthetic_pictures_are_called_so_and_photos_are_offered(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/?q=green&g=picturebook&item=x")
    notice = page.locator(".masthead .synthetic")
    expect(notice).to_contain_text("Synthetic pictures. A program drew them")
    notice.get_by_role("button", name="Show photos").click()
    expect(page.get_by_label("Pictures", exact=True)).to_have_value("nasty")
    expect(notice).to_be_hidden()
    assert "g=nasty" in page.url
    assert "item" not in page.url


def test_without_photos_about_says_how_to_use_some(chromium: Browser, tmp_path: Path) -> None:
    with served_app(tmp_path / "log.txt", "picturebook:gallery@8") as url, chromium.new_page() as page:
        page.goto(f"{url}/learn")
        page.get_by_role("button", name="Use photos").click()
        about = page.get_by_role("dialog", name="About Pairscope")
        expect(about).to_contain_text("To search photos, drop some of yours on the page Search")
        page.keyboard.press("Escape")
        expect(about).to_be_hidden()


def test_theme_and_type_size_stay_and_are_there_before_the_page(page: Page, app_url: str) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(f"{app_url}/analysis")
    size = "parseFloat(getComputedStyle(document.querySelector('#tabs [role=tab]')).fontSize)"
    page.locator("#tabs [role=tab]").first.wait_for()
    before = page.evaluate(size)
    for name in ("Dark theme", "Large type"):
        page.get_by_role("button", name=name).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
    assert page.evaluate(size) > 1.3 * before
    page.goto(app_url)
    page.wait_for_function("document.body.classList.contains('dark')")
    for name in ("Dark theme", "Large type"):
        expect(page.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.get_by_role("button", name="Dark theme").click()
    page.reload()
    expect(page.get_by_role("button", name="Dark theme")).to_have_attribute("aria-pressed", "false")
    assert not page.evaluate("document.body.classList.contains('dark')")


def test_large_type_fits_the_width_of_a_phone(page: Page, app_url: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{app_url}/analysis")
    page.get_by_role("button", name="Large type").click()
    expect(page.locator("#tabs [role=tab]").first).to_be_visible()
    for each in page.locator(
        ".masthead h1 a, .masthead .tools button, .masthead nav a, .masthead form"
    ).all():
        left, right = each.evaluate("e => [e.getBoundingClientRect().left, e.getBoundingClientRect().right]")
        assert 0 <= left < right <= 390
    name = "(e => e.scrollWidth - e.clientWidth)(document.querySelector('.masthead h1'))"
    assert page.evaluate(name) <= 0  # the name is not cut off
    tabs = page.locator("#tabs .tab-container:not(.visually-hidden) [role=tab]")
    assert tabs.evaluate_all("all => Math.max(...all.map(e => e.scrollWidth - e.clientWidth))") <= 0


def test_about_opens_by_keyboard_and_link_and_names_figures_versions_and_licence(
    page: Page, app_url: str
) -> None:
    page.goto(f"{app_url}/analysis")
    page.get_by_role("button", name="About").focus()
    page.keyboard.press("Enter")
    about = page.get_by_role("dialog", name="About Pairscope")
    expect(about).to_be_visible()
    for text in ("Picturebook is synthetic", "rSum", "infonce", "Pairscope 0.", "Gradio 6", "Apache 2.0"):
        expect(about).to_contain_text(text)
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    assert found.violations_count == 0, found.generate_report()
    page.keyboard.press("Escape")
    expect(about).to_be_hidden()
    page.wait_for_url(re.compile(r"/analysis[^#]*$"))
    page.goto(f"{app_url}/learn#about")
    expect(about).to_be_visible()


def test_an_old_address_of_the_overview_still_works(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/analysis?tab=geometry&g=picturebook")
    expect(page.get_by_role("tab", name="Overview")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#measures table")).to_be_visible()
