"""What people see of the pages on a desktop and on a phone: contrast, layout, plots, and the head."""

import re
import time
from collections.abc import Iterator
from io import BytesIO
from typing import Literal
from urllib.request import urlopen

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, ViewportSize, expect

from tests.ui.web.test_analysis_page import MAP, point
from ui.web.app import PAGES as APP_PAGES

pytestmark = pytest.mark.ui

PAGES = {
    "?q=a+ship&g=picturebook": "#results .cards",
    "compare?q=a+ship": "#measures table",
    "stage?item=gallery-000001.png": ".stage-bars li",
    "analysis": "#measures table",
    "analysis?tab=map&map=images&open=images:3": "#map .gtitle",
    "analysis?tab=query-length": "#length .gtitle",
    "analysis?tab=misses": "#misses .misses > li",
    "analysis?tab=probes": "table.probes",
    "learn?open=matrix&twin=1": ".matrix-tool[aria-busy=false]",
    "learn?open=train": ".train-tool[aria-busy=false]",
}
"""Address of a page -> what it shows when it is ready."""
PAGES |= {title.lower(): "main .column > :nth-child(2)" for title in [*APP_PAGES][1:] if title != "Analysis"}
SHIFTS = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) if (!each.hadRecentInput) window.shift += each.value;
}).observe({type: 'layout-shift', buffered: true});
"""


def open_ready(page: Page, url: str, path: str) -> None:
    page.goto(f"{url}/{path}")
    expect(page.locator(PAGES[path]).first).to_be_visible(timeout=180_000)  # Compare may load a model


@pytest.fixture
def phone(chromium: Browser) -> Iterator[BrowserContext]:
    size = ViewportSize(width=390, height=844)
    context = chromium.new_context(viewport=size, has_touch=True, is_mobile=True)
    yield context
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_nothing_moves_while_a_page_is_loaded_and_it_passes_the_checks_of_axe(
    page: Page, app_url: str, path: str
) -> None:
    page.add_init_script(SHIFTS)
    open_ready(page, app_url, path)
    for dark in (False, True):
        page.evaluate("window.pairscopeDisplay.dark", dark)
        page.wait_for_timeout(1000)  # until colours that change have changed
        assert page.locator("body.dark").count() == dark
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
        assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("window.shift") <= 0.05


ONE_BY_ONE = [
    "?q=a+ship&g=picturebook",
    "compare?q=a+ship",
    "analysis?tab=map&map=images&open=images:3",
    "analysis?tab=misses",
]


@pytest.mark.parametrize("path", ONE_BY_ONE)
def test_nothing_moves_when_the_parts_of_a_page_arrive_one_by_one(
    page: Page, app_url: str, path: str
) -> None:
    def arrive_late(route: Route) -> None:
        time.sleep(0.2)
        route.continue_()

    page.route("**/assets/*.js", arrive_late)
    page.add_init_script(SHIFTS)
    open_ready(page, app_url, path)
    assert page.evaluate("window.shift") <= 0.01


def test_no_page_requests_a_foreign_host(page: Page, app_url: str) -> None:
    """The fixture `page` fails at such a request."""
    _, *others = APP_PAGES
    for path in ("", *map(str.lower, others)):
        page.goto(f"{app_url}/{path}")
        page.locator(".masthead").wait_for()
        page.wait_for_timeout(1000)


def test_nothing_is_animated_for_people_who_want_less_motion(page: Page, app_url: str) -> None:
    page.emulate_media(reduced_motion="reduce")
    open_ready(page, app_url, "?q=a+ship&g=picturebook")
    page.locator("#results .card button").first.hover()
    durations = page.evaluate("""() => [...document.querySelectorAll('main *')].flatMap((each) => {
      const {transitionDuration, animationDuration} = getComputedStyle(each);
      return [transitionDuration, animationDuration].flatMap((text) => text.split(',').map(parseFloat));
    })""")
    assert max(durations) <= 0.001


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_progress_has_the_colour_of_the_theme(
    page: Page, app_url: str, scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme)
    open_ready(page, app_url, "?q=a+ship&g=picturebook")
    page.evaluate("""() => {
      const bar = '<progress value="1" max="2"></progress>';
      document.querySelector('#status').innerHTML = `<div class="status">${bar}</div>`;
    }""")
    bar = np.asarray(Image.open(BytesIO(page.locator("#status progress").screenshot())).convert("RGB"))
    height, width, _ = bar.shape
    wanted = page.evaluate("""() => ['--ps-accent', '--ps-line'].map((name) => {
      const probe = document.querySelector('#status').appendChild(document.createElement('i'));
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color.match(/[0-9]+/g).slice(0, 3).map(Number);
    })""")
    assert bar[height // 2, [width // 4, 3 * width // 4]].tolist() == wanted


def test_the_keys_of_the_stage_are_explained_where_there_are_keys(
    page: Page, phone: BrowserContext, app_url: str
) -> None:
    tab = phone.new_page()
    for each in (page, tab):
        open_ready(each, app_url, "stage?item=gallery-000001.png")
        expect(each.locator(".stage-hint")).to_contain_text("Drag a thing")
    expect(page.locator(".stage-keys")).to_be_visible()
    expect(tab.locator(".stage-keys")).to_be_hidden()


def test_a_link_begins_where_the_lines_above_it_begin(page: Page, app_url: str) -> None:
    open_ready(page, app_url, "stage?item=gallery-000001.png")
    left = "node => node.getBoundingClientRect().left"
    link, heading = page.locator(".stage-search"), page.locator(".stage-heading")
    assert link.evaluate(left) == heading.evaluate(left)


def test_a_phone_shows_two_results_in_the_first_view(phone: BrowserContext, app_url: str) -> None:
    page = phone.new_page()
    open_ready(page, app_url, "?q=a+ship&g=picturebook")
    boxes = page.locator("#results .cards img").evaluate_all(
        "all => all.map((image) => image.getBoundingClientRect().bottom)"
    )
    assert sum(bottom <= 844 for bottom in boxes) >= 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.get_by_role("button", name="Upload file")).to_be_in_viewport()


def test_a_phone_reaches_every_tab_without_a_menu(phone: BrowserContext, app_url: str) -> None:
    page = phone.new_page()
    open_ready(page, app_url, "analysis")
    expect(page.get_by_role("tab")).to_have_text(["Overview", "Map", "Query length", "Misses", "Probes"])
    page.get_by_role("tab", name="Probes").tap()
    expect(page.locator("table.probes")).to_be_visible()


def test_a_clicked_point_is_in_view_at_once(page: Page, app_url: str) -> None:
    open_ready(page, app_url, "analysis?tab=map&map=images&open=images:3")
    expect(page.locator("#map .gtitle")).to_have_text("UMAP", timeout=120_000)
    shown = page.locator(".map-point img")
    expect(shown).to_be_visible()
    before = shown.get_attribute("src")
    page.mouse.click(*point(page, MAP, -1, 20))
    expect(shown).not_to_have_attribute("src", str(before))
    expect(shown).to_be_in_viewport()


def test_the_data_of_a_plot_is_a_table_that_the_keyboard_opens(page: Page, app_url: str) -> None:
    open_ready(page, app_url, "analysis?tab=misses")
    page.locator("#causes .gtitle").wait_for()  # the plot is drawn
    summary = page.locator("#causes summary")
    summary.focus()
    page.keyboard.press("Enter")
    rows = page.locator("#causes .data tbody tr")
    points = page.evaluate(
        "document.querySelector('#causes .area')._fullData.reduce((n, t) => n + t.x.length, 0)"
    )
    expect(rows).to_have_count(points)
    rows.first.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#misses-direction input")).to_have_value(re.compile("T2I"))
    page.wait_for_url("**/analysis?tab=misses&direction=t2i&cause=*")


def test_the_focus_stays_when_an_option_changes(page: Page, app_url: str) -> None:
    open_ready(page, app_url, "?q=a+ship&g=picturebook")
    page.get_by_role("radio", name="24").focus()
    page.keyboard.press("Space")
    expect(page.locator("#results .cards li")).to_have_count(24)
    expect(page.get_by_role("radio", name="24")).to_be_focused()


@pytest.mark.parametrize(
    ("path", "bundle"), [("analysis", "cartesian"), ("analysis?tab=query-length", "cartesian")]
)
def test_a_plot_loads_one_partial_bundle(page: Page, app_url: str, path: str, bundle: str) -> None:
    open_ready(page, app_url, path)
    expect(page.locator(".gtitle:visible").first).to_be_visible()
    loaded = page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    (url,) = {each for each in loaded if "plotly" in each}
    assert f"plotly-{bundle}" in url
    with urlopen(url) as answer:
        assert len(answer.read()) < 1_600_000


def test_the_head_is_that_of_the_product(page: Page, app_url: str) -> None:
    for path in ("", "analysis"):
        with urlopen(f"{app_url}/{path}") as answer:
            html = answer.read().decode()
        assert "gradio-app" not in "".join(re.findall(r"<meta[^>]*>", html))
        assert re.search(r'<meta name="description" content="Search pictures', html)
        picture = re.search(r'<meta property="og:image" content="([^"]+)"', html)
        assert picture is not None
        with urlopen(picture[1]) as answer:
            assert answer.headers["content-type"] == "image/webp"
    with urlopen(f"{app_url}/favicon.ico") as answer:
        assert b"#0f766e" in answer.read()
    open_ready(page, app_url, "?q=a+ship&g=picturebook")
    expect(page).to_have_title("a ship - Pairscope")
