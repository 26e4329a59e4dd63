"""Captions, labels, names of files, galleries and queries that are HTML stay text on every page.

Twelve texts in five places are sixty acts; each page is opened with all of them.
"""

from collections.abc import Iterator
from json import dumps
from urllib.parse import quote

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.ui.server import served_app

pytestmark = pytest.mark.ui

ACTS = (
    "<img src=x onerror=window.hacked=1 data-hostile>",
    "<script data-hostile>window.hacked=1</script>",
    "<svg data-hostile onload=window.hacked=1>",
    '" data-hostile autofocus onfocus=window.hacked=1 x="',
    "' data-hostile autofocus onfocus=window.hacked=1 x='",
    "</textarea></title></style></script><b data-hostile>",
    "<a data-hostile href=javascript:window.hacked=1>a</a>",
    "${window.hacked=1} {{window.hacked=1}} {% hacked %}",
    "[a](javascript:window.hacked=1) ![a](x:data-hostile)",
    "<details open ontoggle=window.hacked=1 data-hostile>",
    "<iframe srcdoc='<script>parent.hacked=1</script>' data-hostile>",
    "<!--><base href=x:><style data-hostile>*{display:none}</style>",
)
NAME = "<b data-hostile onclick=window.hacked=1>"
"""Of the gallery: its folder has this name, too."""
QUERY = " ".join(ACTS[:3])
TABS = {
    "overview": "#measures table",
    "map": "#map .legendtext",
    "query-length": "#length .gtitle",
    "misses": "#misses .misses > li",
    "probes": "#probe-card img",
}
"""Tab of the analysis page -> what it shows of a gallery."""
PANELS = {
    "matrix": "#matrix-figures [data-figure=loss]",
    "report-card": "#learn-report-card button",
    "daily": "#learn-daily button",
}


def file_name(number: int) -> str:
    """Return a hostile file name, which is also the id of the picture."""
    return f"{number} {ACTS[number].replace('/', '')}.png"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a gallery in which every text is hostile."""
    scratch = tmp_path_factory.mktemp("hostile")
    folder = scratch / NAME
    folder.mkdir()
    lines = []
    for number, act in enumerate(ACTS):
        Image.new("RGB", (64, 48), (20 * number, 0, 200 - 10 * number)).save(folder / file_name(number))
        lines.append(dumps({"file_name": file_name(number), "caption": f"{act} {number}", "labels": [act]}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    with served_app(scratch / "log.txt", f"folder:{folder}") as address:
        yield address
    assert "Traceback" not in (scratch / "log.txt").read_text()


@pytest.fixture(scope="module")
def shared(chromium: Browser) -> Iterator[Page]:
    """One page for all tests, which leave it while it still loads."""
    page = chromium.new_page()
    yield page
    page.close()


@pytest.fixture(autouse=True)
def harmless(shared: Page, url: str) -> Iterator[None]:
    """Fail if a text of the gallery becomes a part of the page, runs, or asks another host for something."""
    foreign: list[str] = []

    def note(address: str) -> None:
        if not address.startswith((url, "data:", "blob:")):
            foreign.append(address)

    shared.on("request", lambda request: note(request.url))
    shared.on("dialog", lambda dialog: foreign.append(dialog.message))
    yield
    assert foreign == []
    assert shared.evaluate("window.hacked") is None
    found = "[data-hostile], [href^='javascript:'], base:not([href='./']), [onerror], [onfocus], [onload]"
    assert shared.locator(found).evaluate_all("all => all.map(each => each.outerHTML)") == []


def test_results_of_words(shared: Page, url: str) -> None:
    shared.goto(f"{url}/?g={quote(NAME)}&q={quote(QUERY)}")
    captions = shared.locator("#results .card .caption")
    expect(captions).to_have_count(len(ACTS))
    for number, act in enumerate(ACTS):
        expect(captions.filter(has_text=f"{act} {number}")).to_have_count(1)
    expect(shared.locator("#results h2").first).to_contain_text(ACTS[0])
    expect(shared.get_by_label("Pictures", exact=True)).to_have_value(NAME)


def test_results_of_a_picture(shared: Page, url: str) -> None:
    shared.goto(f"{url}/?g={quote(NAME)}&item={quote(file_name(3))}")
    for act in ACTS:
        expect(shared.locator("#results .captions .text", has_text=act).first).to_be_visible()


def test_reasons_of_a_result(shared: Page, url: str) -> None:
    shared.goto(f"{url}/?g={quote(NAME)}&q={quote(QUERY)}#why={quote(file_name(5))}")
    expect(shared.locator("dialog.why[open] .hint").first).to_contain_text(ACTS[5])
    expect(shared.locator("dialog.why[open] [data-word]").first).to_contain_text("img")


@pytest.mark.parametrize("field", ["q", "g", "item", "k", "label", "words", "truth", "minus"])
def test_addresses_are_shown_as_text(field: str, shared: Page, url: str) -> None:
    shared.goto(f"{url}/?q=red&{field}={quote(' '.join(ACTS))}#why={quote(ACTS[0])}")
    expect(shared.locator("#status .note, #results h2").first).to_be_visible()


@pytest.mark.parametrize("tab", TABS)
def test_tabs_of_the_analysis(tab: str, shared: Page, url: str) -> None:
    shared.goto(f"{url}/analysis?tab={tab}&g={quote(NAME)}")
    expect(shared.locator(TABS[tab]).first).to_be_visible(timeout=180_000)
    if tab == "misses":
        assert any(act in shared.locator(TABS[tab]).first.inner_text() for act in ACTS)


@pytest.mark.parametrize("panel", PANELS)
def test_panels_of_the_learn_page(panel: str, shared: Page, url: str) -> None:
    shared.goto(f"{url}/learn?open={panel}&g={quote(NAME)}")
    expect(shared.locator(PANELS[panel]).first).to_be_visible()


@pytest.mark.parametrize("page", ["compare", "stage"])
def test_pages_without_results_of_this_gallery(page: str, shared: Page, url: str) -> None:
    shared.goto(f"{url}/{page}?g={quote(NAME)}&q={quote(QUERY)}")
    expect(shared.locator("#query textarea, #stage button").first).to_be_visible()
