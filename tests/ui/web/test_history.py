"""The address of the pages: Back, reload and links restore what was shown."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.ui.web.test_analysis_page import MAP, point

pytestmark = pytest.mark.ui

HEADING = "#results h2 >> nth=0"
STATE = """() => ({
  busy: document.querySelector('#results').ariaBusy,
  headings: [...document.querySelectorAll('#results h2, #status .note')].map((each) => each.textContent),
  first: document.querySelector('#results .cards button')?.dataset.item,
  count: document.querySelectorAll('#results .cards li').length,
  checked: document.querySelector('#count input:checked')?.value,
  query: document.querySelector('#query textarea').value,
  gallery: document.querySelector('.masthead select').value,
  picture: Boolean(document.querySelector('#picture img')),
})"""


def settled(page: Page, state: str = STATE) -> tuple[str, object]:
    """Return the address and what the page shows, once they no longer change and all plots are drawn."""
    page.wait_for_selector("#results[aria-busy=false], #tabs[aria-busy=false]", state="attached")
    before = None
    while (now := (page.url, page.evaluate(state))) != before:
        before = now
        page.wait_for_timeout(250)
        page.wait_for_function("!document.querySelector('figure.plot[aria-busy=true]')")
    return now


def retrace(page: Page, steps: list[Callable[[], object]], state: str) -> None:
    """Take the steps, then go back over them: each has its own address, and shows the same as before."""
    trail = [settled(page, state)]
    for step in steps:
        step()
        before = trail[-1][0]
        page.wait_for_function("before => location.href !== before", arg=before)
        trail.append(settled(page, state))
    for shown in trail[-2::-1]:
        page.go_back()
        assert settled(page, state) == shown


def test_back_retraces_twenty_steps_on_the_search_page(page: Page, app_url: str, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.linear_gradient("L").save(photo)
    box = page.locator("#query textarea")

    def search(words: str) -> Callable[[], object]:
        def type_words() -> None:
            box.fill(words)
            box.press("Enter")

        return type_words

    def click(selector: str) -> Callable[[], object]:
        return page.locator(selector).click

    def choose(gallery: str) -> None:
        page.get_by_label("Pictures", exact=True).select_option(gallery)

    cards, captions = "#results .cards [data-item] >> nth=", "#results .captions button >> nth="
    page.goto(app_url)
    expect(page.locator(HEADING)).to_be_visible()
    retrace(
        page,
        [
            search("red car"), search("red car & 50% more?"), click(f"{cards}2"), click(f"{cards}0"),
            click(f"{captions}1"), lambda: page.get_by_role("radio", name="24").check(), click(f"{cards}3"),
            lambda: page.get_by_role("radio", name="48").check(), click("#examples button >> nth=3"),
            click("#examples button >> text=Surprise me"), lambda: choose("nasty"), click(f"{cards}1"),
            click(f"{captions}0"), lambda: choose("picturebook"), search("   "), search("a ship"),
            lambda: page.locator("#picture input[type=file]").set_input_files(photo),
            lambda: page.get_by_role("radio", name="12").check(), click(f"{cards}0"), search("a house"),
        ],
        STATE,
    )  # fmt: skip


def test_reload_shows_the_same_search(page: Page, app_url: str) -> None:
    for link in ("?q=a+ship&k=24&g=picturebook", "?q=green&k=7&g=nasty", "?q=&k=12&g=picturebook"):
        page.goto(f"{app_url}/{link}")
        before = settled(page)
        page.reload()
        assert settled(page) == before
        assert page.url == f"{app_url}/{link}"


def test_the_address_of_a_refused_search_is_its_own(page: Page, app_url: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    page.goto(f"{app_url}/?q=a+ship&g=picturebook")
    expect(page.locator(HEADING)).to_contain_text("a ship")
    page.locator("#picture input[type=file]").set_input_files(broken)
    expect(page.locator("#status .note")).to_contain_text("cannot be used")
    assert "a+ship" not in page.url
    assert "picture=own" in page.url
    page.go_back()
    expect(page.locator(HEADING)).to_contain_text("a ship")
    page.goto(f"{app_url}/?picture=own")  # in another browser, or after the upload was deleted
    expect(page.locator("#status .note")).to_contain_text("Choose it again")


ANALYSIS = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const shown = (selector) => all(selector).filter((each) => each.checkVisibility());
  const texts = (selector) => shown(selector).map((each) => each.textContent);
  return {
    tab: texts('#tabs [role=tab][aria-selected=true]'),
    titles: texts('.gtitle'),
    inputs: shown('#tabs :is(input, textarea)').map((each) => each.checked || each.value),
    opened: texts('.map-point h2, #length-queries h2, #probes .original th'),
    misses: shown('#misses .misses > li').length,
    pressed: texts('#confusions [aria-pressed=true]'),
    galleries: texts('#compared .token'),
  };
}"""


def test_back_retraces_the_steps_on_the_analysis_page(page: Page, app_url: str) -> None:
    def tab(title: str, ready: str) -> Callable[[], object]:
        def open_tab() -> None:
            page.get_by_role("tab", name=title).click()
            page.locator(ready).first.wait_for()

        return open_tab

    def choose(label: str, option: str) -> Callable[[], object]:
        def choose_option() -> None:
            page.get_by_role("combobox", name=label).click()
            page.get_by_role("option", name=re.compile(f"^{option}")).first.click()

        return choose_option

    def click(selector: str) -> Callable[[], object]:
        return page.locator(selector).first.click

    def open_point() -> None:
        page.mouse.click(*point(page, MAP, -1, 5))
        page.locator(".map-point").wait_for()

    def open_length() -> None:
        page.mouse.click(*point(page, "#length .area", 1, -1))
        page.locator("#length-queries h2").wait_for()

    page.goto(
        f"{app_url}/analysis?tab=map&map=images"
    )  # UMAP is computed before, so that titles do not change
    expect(page.locator("#map .gtitle")).to_have_text("UMAP", timeout=120_000)
    page.goto(f"{app_url}/analysis")
    page.locator("#measures table").wait_for()
    retrace(
        page,
        [
            tab("Map", "#map .gtitle"), choose("Map of", "pictures$"), choose("Colour by", "length"),
            open_point,
            click("#map-details .cards button"), tab("Query length", "#length .gtitle"),
            lambda: page.get_by_label("R@10").check(), open_length, tab("Misses", "#misses .misses > li"),
            choose("Direction", "T2I:"), click("#misses-more"), click("#confusions button"),
            choose("Order", "most confident"), tab("Probes", "table.probes"), click(".its-captions button"),
            click("#probes-surprise"), click(":nth-match(#compared [title^=Remove], 2)"),
            tab("Overview", "#measures table"),
        ],
        ANALYSIS,
    )  # fmt: skip


@pytest.mark.parametrize(
    "link",
    [
        "tab=constructor", "g=elsewhere", "&".join(["g=picturebook"] * 300), "tab=map&q=%00",
        "tab=map&open=images:99999999999999999999", f"tab=map&open={'images:1+' * 300}&map=1e999",
        "tab=query-length&k=inf&open=999", "tab=query-length&queries=x&open=%22%3E<b>",
        f"tab=misses&shown={'9' * 5000}&cause=%00", "tab=misses&confused=a|b|c&direction=-1&concept=😀",
        "tab=probes&caption=-1", "tab=probes&q=%F0%28&caption=1e3",
    ],
)  # fmt: skip
def test_absurd_links_show_a_page_or_a_note(page: Page, app_url: str, link: str) -> None:
    page.goto(f"{app_url}/analysis?{link}")
    ready = ".gtitle, .optional .note, .note"
    page.wait_for_function(
        "(ready) => [...document.querySelectorAll(ready)].some((each) => each.checkVisibility())", arg=ready
    )
    assert page.get_by_text("unexpected error").count() == 0


@pytest.mark.parametrize(
    ("address", "links", "leads_to"),
    [
        ("?q=a+ship", "#status a.link", "/"),
        ("compare?q=a+ship", "a.link", "/compare"),
        ("learn", "a[data-learn]", "/learn"),
        ("learn?open=daily", "a[data-learn]", "/learn"),
    ],
)
def test_a_link_leads_to_its_page_without_the_script_of_the_page(
    page: Page, app_url: str, address: str, links: str, leads_to: str
) -> None:
    page.goto(f"{app_url}/{address}")
    expect(page.locator(links).locator("visible=true").first).to_be_visible()
    assert page.locator(links).evaluate_all("all => [...new Set(all.map((a) => a.pathname))]") == [leads_to]


def test_a_link_leads_to_a_slow_page_in_the_middle_of_a_search(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/?q=a+ship")
    expect(page.locator("#results .cards button").first).to_be_visible()
    page.route("**/queue/data*", lambda _: None)  # the answer to the search never comes
    slow: list[Route] = []

    def hold(route: Route) -> None:
        slow.append(route)

    page.route("**/learn*", hold)
    page.locator("#query textarea").fill("two dogs")
    with page.expect_request("**/queue/data*"):
        page.locator("#query textarea").press("Enter")
    page.get_by_role("link", name="Learn").first.dispatch_event("click")  # `click` waits for the next page
    page.wait_for_timeout(5_000)  # Gradio's client asks every two seconds for a connection, and reloads then
    slow[0].continue_()
    page.wait_for_url("**/learn*")
    expect(page.locator("a[data-learn]").first).to_be_visible()
