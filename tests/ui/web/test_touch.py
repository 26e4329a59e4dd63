"""Plots on a phone: a swipe scrolls the page, a tap opens a point, and the controls fit the width."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.ui.web.test_analysis_page import MAP, point

pytestmark = pytest.mark.ui


@pytest.fixture
def phone(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    yield page
    page.close()


def swipe_up(page: Page, x: float, y: float, distance: int = 200) -> None:
    """Move a finger up by `distance` pixels, as a person does: in steps, one for each frame."""
    session = page.context.new_cdp_session(page)
    touch = "Input.dispatchTouchEvent"
    session.send(touch, {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for moved in range(10, distance + 1, 10):
        session.send(touch, {"type": "touchMove", "touchPoints": [{"x": x, "y": y - moved}]})
        page.wait_for_timeout(16)
    session.send(touch, {"type": "touchEnd", "touchPoints": []})


def open_map(page: Page, url: str) -> None:
    page.goto(f"{url}/analysis?tab=map&map=images")
    expect(page.locator("#map .gtitle")).to_have_text("UMAP", timeout=120_000)


def test_a_tap_opens_a_point_and_a_swipe_scrolls_past_it(phone: Page, app_url: str) -> None:
    open_map(phone, app_url)
    phone.add_style_tag(content="footer { margin-bottom: 100vh; }")  # room to scroll
    phone.touchscreen.tap(*point(phone, MAP, -1, 20))
    phone.wait_for_url("**open=images%3A20")
    expect(phone.locator(".map-point img")).to_be_visible()
    phone.wait_for_timeout(1000)  # until the opened point has been scrolled into view
    x, y = point(phone, MAP, -1, 40)
    start = phone.evaluate("scrollY")
    swipe_up(phone, x, y)
    phone.wait_for_function(f"scrollY > {start} + 100")
    phone.wait_for_timeout(1000)
    assert phone.url.endswith("open=images%3A20")
    phone.touchscreen.tap(*point(phone, MAP, -1, 40))
    phone.wait_for_url("**open=images%3A40")


def test_a_swipe_on_bars_scrolls_without_choosing_one(phone: Page, app_url: str) -> None:
    phone.goto(f"{app_url}/analysis?tab=misses")
    expect(phone.locator("#misses .misses > li").first).to_be_visible()
    before = phone.url
    frame = phone.locator("#causes .nsewdrag").first
    frame.scroll_into_view_if_needed()
    area = frame.bounding_box()
    assert area is not None
    start = phone.evaluate("scrollY")
    swipe_up(phone, area["x"] + area["width"] / 2, area["y"] + area["height"] - 20)
    phone.wait_for_function(f"scrollY > {start} + 100")
    phone.wait_for_timeout(1000)
    assert phone.url == before


def test_the_map_has_its_buttons_in_one_row_and_no_text_under_an_arrow(phone: Page, app_url: str) -> None:
    open_map(phone, app_url)
    tops = phone.locator("#map [data-save]").evaluate_all(
        "all => all.map((each) => each.getBoundingClientRect().top)"
    )
    assert len(tops) == 3
    assert len(set(tops)) == 1
    gap = phone.locator("#map-kind").evaluate(
        """(box) => {
          const input = box.querySelector('input'), arrow = box.querySelector('.dropdown-arrow');
          const end = input.getBoundingClientRect().right - parseFloat(getComputedStyle(input).paddingRight);
          return arrow.getBoundingClientRect().left - end;
        }"""
    )
    assert gap >= 0
