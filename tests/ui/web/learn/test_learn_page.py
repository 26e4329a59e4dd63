"""The Learn page in a real browser: list, matrix and training, by keyboard and from links."""

import re

import pytest
import torch
from playwright.sync_api import Page, Request, expect

pytestmark = pytest.mark.ui

READY = ".matrix-tool[aria-busy=false]"
TRAINABLE = ".train-tool[aria-busy=false]"


def open_tool(page: Page, url: str, query: str, ready: str) -> list[str]:
    """Open a tool and return a list to which the addresses of later requests are added."""
    page.goto(f"{url}/learn?open={query}")
    expect(page.locator(ready)).to_be_visible()
    page.wait_for_timeout(500)  # until the pictures of the matrix have come
    requests: list[str] = []

    def note(request: Request) -> None:
        if "heartbeat" not in request.url:
            requests.append(request.url)

    page.on("request", note)
    return requests


def test_the_list_opens_panels_and_back_returns(shared: Page, app_url: str) -> None:
    shared.goto(f"{app_url}/learn")
    shared.get_by_role("link", name="Matrix and temperature").click()
    expect(shared.locator(READY)).to_be_visible()
    expect(shared).to_have_title("Matrix and temperature - Pairscope")
    expect(shared.locator("#learn-list")).to_be_hidden()
    shared.go_back()
    expect(shared.locator("#learn-list")).to_be_visible()
    expect(shared.locator(READY)).to_be_hidden()


@pytest.mark.parametrize("started", [True, False])
def test_a_new_tab_has_the_chosen_gallery(page: Page, app_url: str, started: bool) -> None:
    """Whether the script of the page has started or not: a visitor can be faster."""
    if not started:
        page.route("**/learn.js*", lambda _: None)  # the answer never comes
    page.goto(f"{app_url}/learn?g=nasty")
    with page.context.expect_page() as opened:
        page.locator("#learn-list a").first.click(modifiers=["ControlOrMeta"])
    tab = opened.value
    tab.wait_for_url(re.compile(r"/learn\?open=\w+&g=nasty$"))
    expect(tab.get_by_label("Pictures", exact=True)).to_have_value("nasty")
    assert page.url == f"{app_url}/learn?g=nasty"


def test_the_slider_needs_no_request_and_shows_the_loss_of_the_core(shared: Page, app_url: str) -> None:
    requests = open_tool(shared, app_url, "matrix&cells=cosine", READY)
    cosines = torch.tensor(
        [float(text) for text in shared.locator(".matrix-cells tbody td").all_inner_texts()]
    ).view(8, 8)
    shared.locator("#matrix-tau").focus()
    for _ in range(5):
        shared.keyboard.press("ArrowRight")
    expect(shared).to_have_url(re.compile("tau=0.079"))
    logits = cosines / 0.079
    target = torch.arange(8)
    expected = (
        torch.nn.functional.cross_entropy(logits, target)
        + torch.nn.functional.cross_entropy(logits.T, target)
    ) / 2
    shown = float(shared.locator("#matrix-figures [data-figure=loss]").inner_text().split()[0])
    assert shown == pytest.approx(expected.item(), abs=0.02)  # the cosines have two digits
    assert requests == []


def test_a_higher_temperature_shares_the_push_among_all_negatives(shared: Page, app_url: str) -> None:
    shares = []
    for tau in ("0.01", "1"):
        open_tool(shared, app_url, f"matrix&tau={tau}", READY)
        text = shared.locator("[data-figure=hardest]").inner_text()
        shares.append(float(text.split()[0]))
    assert shares[0] > 3 * shares[1]


def test_a_false_negative_is_marked_and_back_removes_it(shared: Page, app_url: str) -> None:
    open_tool(shared, app_url, "matrix", READY)
    shared.get_by_role("button", name="Insert a false negative").click()
    expect(shared.locator(".matrix-cells td.also")).to_have_count(2)
    expect(shared.locator(".twin-note")).to_contain_text("falls on a true caption")
    expect(shared).to_have_url(re.compile("twin=1"))
    shared.reload()
    expect(shared.locator(".matrix-cells td.also")).to_have_count(2)
    shared.get_by_role("button", name="Remove the false negative").click()
    expect(shared.locator(".matrix-cells td.also")).to_have_count(0)


def test_arrow_keys_trace_rows_and_columns(shared: Page, app_url: str) -> None:
    open_tool(shared, app_url, "matrix", READY)
    cells = shared.locator(".matrix-cells tbody td")
    cells.first.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        shared.keyboard.press(key)
    expect(cells.nth(8 + 2)).to_be_focused()
    expect(shared.locator(".matrix-cells .traced")).to_have_count(15)
    expect(shared.locator("#matrix .trace")).to_contain_text("Picture 2, caption C")


def test_hostile_captions_stay_text(shared: Page, app_url: str) -> None:
    open_tool(shared, app_url, "matrix&g=nasty", ".matrix-tool")
    expect(shared.locator("#matrix .state")).to_contain_text("needs 8 pictures with captions; 3 are there")
    assert shared.evaluate("window.hacked") is None


@pytest.mark.parametrize(
    "query",
    [
        "__proto__",
        "constructor&tau=1",
        "matrix&tau=abc&cells=<script>&twin=9&g=../../etc",
        "matrix&tau=-1e999&tau=NaN",
        "train&method=__proto__&temp=Infinity&batch=1e9&soft=-3&seed=1e99",
    ],
)
def test_odd_addresses_show_the_list_or_defaults(shared: Page, app_url: str, query: str) -> None:
    shared.goto(f"{app_url}/learn?open={query}")
    tool = query.partition("&")[0]
    ready = {"matrix": READY, "train": TRAINABLE}.get(tool, "#learn-list")
    expect(shared.locator(ready)).to_be_visible()
    if tool == "matrix":
        assert 0.01 <= float(shared.locator("#matrix-tau-value").inner_text()) <= 1
    if tool == "train":
        expect(shared.locator("#train-method")).to_have_value("infonce")
        expect(shared.locator("#train-seed")).to_have_value("9999")


def finish(page: Page) -> list[list[str]]:
    """Play a run to its end and return its table."""
    page.locator("#train-play").click()
    expect(page.locator("#train .state")).to_contain_text("The run has ended", timeout=120_000)
    page.locator(".points summary").click()
    rows = page.locator(".points tr")
    expect(rows.nth(1)).to_be_visible()
    return [row.split("\t") for row in rows.all_inner_texts()]


def test_a_link_trains_the_same_curve_without_a_request(shared: Page, app_url: str) -> None:
    link = "train&method=cusa&batch=16&temp=0.2&soft=3&seed=7"
    requests = open_tool(shared, app_url, link, TRAINABLE)
    first = finish(shared)
    assert requests == []
    assert first[-1][0] == "300"
    assert float(first[-1][-1]) > 50 > float(first[1][-1])  # R@1
    open_tool(shared, app_url, link, TRAINABLE)
    assert finish(shared) == first
    shared.locator("#train-batch").select_option("8")
    expect(shared).to_have_url(re.compile("batch=8"))
    expect(shared.locator("#train-plane path.ghost")).to_have_count(1)


def test_pause_and_step_advance_as_asked(shared: Page, app_url: str) -> None:
    open_tool(shared, app_url, "train&batch=4", TRAINABLE)
    step = shared.locator("#train-figures [data-figure=step]")
    shared.locator("#train-step").press("Enter")
    expect(step).to_have_text("1 of 300")
    shared.locator("#train-play").press("Enter")
    expect(step).not_to_have_text("1 of 300")
    shared.get_by_role("button", name="Pause").click()
    shared.wait_for_timeout(300)
    paused = int(step.inner_text().split()[0])
    shared.wait_for_timeout(500)
    assert int(step.inner_text().split()[0]) == paused < 300
    shared.locator("#train-step").click()
    expect(step).to_have_text(f"{paused + 1} of 300")


def test_a_recorded_run_is_replayed_with_its_command(shared: Page, app_url: str) -> None:
    open_tool(shared, app_url, "train&method=recorded-coder", TRAINABLE)
    expect(shared.locator("#train-temp")).to_be_disabled()
    table = finish(shared)
    assert float(table[-1][-1]) > float(table[1][-1])
    expect(shared.locator(".recorded-command")).to_contain_text("learn_data.py runs")


def test_the_matrix_of_no_gallery_is_refused_without_a_traceback(shared: Page, app_url: str) -> None:
    """`app_url` fails if there is a traceback in the log."""
    components = shared.request.get(f"{app_url}/config").json()["components"]
    matrix = next(each for each in components if each["props"].get("elem_id") == "matrix")
    for value in (["no such gallery"], 7, {"a": 1}, None):
        answer = shared.request.post(
            f"{app_url}/gradio_api/component_server",
            data={"component_id": matrix["id"], "fn_name": "batch", "data": value, "session_hash": "odd"},
        )
        assert "No gallery is called" in answer.text()
