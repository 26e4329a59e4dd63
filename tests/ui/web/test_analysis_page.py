"""The analysis page in a real browser: measures, plots with hover, click and lasso, and their exports."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from playwright.sync_api import FloatRect, Page, expect

from analysis.gallery_analysis import GalleryAnalysis
from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import QueryError
from itr_core.gallery import Gallery
from itr_core.pairs import load_pairs
from itr_core.retrieval.searcher import Searcher
from ui.web.analysis.panels import map_points

MAP = "#map .area"


def open_tab(page: Page, url: str, tab: str) -> None:
    page.goto(f"{url}/analysis")
    expect(page.locator("#measures table")).to_be_visible()
    page.get_by_role("tab", name=tab).click()


def box(page: Page, selector: str) -> FloatRect:
    page.locator(selector).scroll_into_view_if_needed()
    found = page.locator(selector).bounding_box()
    assert found is not None
    return found


def point(page: Page, area: str, trace: int, at: int = 0) -> tuple[float, float]:
    """Return the screen coordinates of a point of a trace."""
    frame = box(page, area)
    x, y = page.evaluate(
        """([area, trace, at]) => {
          const gd = document.querySelector(area), t = gd._fullData.at(trace);
          const [x, y] = [t.xaxis, t.yaxis].map((id) => gd._fullLayout[`${id[0]}axis${id.slice(1)}`]);
          return [x.d2p(t.x.at(at)) + x._offset, y.d2p(t.y.at(at)) + y._offset];
        }""",
        [area, trace, at],
    )
    return frame["x"] + x, frame["y"] + y


def open_map(page: Page, url: str) -> None:
    open_tab(page, url, "Map")
    expect(page.locator("#map .gtitle")).to_have_text("UMAP", timeout=120_000)


@pytest.mark.ui
def test_all_measures_of_both_galleries_are_shown_with_an_explanation(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/analysis")
    rows = page.locator("#measures tbody tr")
    expect(rows).to_have_count(11)
    expect(rows.first).to_contain_text("Mean squared Euclidean distance of a caption to its own picture")
    expect(rows.first.locator("td")).to_have_count(2)
    expect(page.locator("#plane .legendtext")).to_have_text(["picturebook", "nasty"])
    page.locator("#compared [title^=Remove]").nth(1).click()
    expect(rows.first.locator("td")).to_have_count(1)


@pytest.mark.ui
def test_plots_are_exported_as_png_svg_and_csv(page: Page, app_url: str, tmp_path: Path) -> None:
    page.goto(f"{app_url}/analysis")
    shown = page.locator("#measures tbody tr").first.locator("td b")
    expect(shown).to_have_count(2)
    saved = {}
    for button in ("PNG", "SVG", "CSV"):
        with page.expect_download() as download:
            page.locator("#plane").get_by_role("button", name=button).click()
        saved[button] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[button])
    assert saved["PNG"].read_bytes().startswith(b"\x89PNG")
    assert saved["SVG"].read_text(encoding="utf-8").lstrip().startswith("<svg")
    table = pd.read_csv(saved["CSV"]).set_index("trace")
    assert [f"{value:.3f}" for value in table["y"]] == shown.all_inner_texts()
    assert (table["low"] < table["y"]).all()
    assert (table["y"] < table["high"]).all()


@pytest.mark.ui
def test_a_click_on_the_query_length_curve_shows_the_queries(page: Page, app_url: str) -> None:
    open_tab(page, app_url, "Query length")
    expect(page.locator("#length .gtitle")).to_contain_text("R@1")
    page.get_by_label("R@10").check()
    expect(page.locator("#length .gtitle")).to_contain_text("R@10")
    longest = page.evaluate("document.querySelector('#length .area')._fullData[1].x.at(-1)")
    page.mouse.click(*point(page, "#length .area", 1, -1))
    expect(page.locator("#length-queries h2")).to_contain_text(f"queries of {longest} words")
    places = page.locator("#length-queries .meta").all_inner_texts()
    ranks = [int(text.rsplit(" ", 1)[1].replace(",", "")) for text in places]
    assert ranks == sorted(ranks, reverse=True)


@pytest.mark.ui
def test_a_point_of_the_map_shows_its_caption_on_hover_and_opens_on_click(page: Page, app_url: str) -> None:
    open_map(page, app_url)
    x, y = point(page, MAP, -1, 7)  # an image; images are drawn above the captions
    page.mouse.move(x + 2, y)  # a longer way may lead over another point
    page.mouse.move(x, y)
    expect(page.locator("#map .tip img")).to_be_visible()
    caption = page.locator("#map .tip p").inner_text()
    page.mouse.click(x, y)
    expect(page.locator(".map-point img")).to_have_attribute("alt", caption)
    expect(page.locator("#map-details .cards li")).to_have_count(6)
    page.locator("#map-details .captions button").first.click()
    expect(page.locator(".map-point h2")).to_contain_text("“")
    expect(page.locator(".map-point .here")).to_have_count(1)
    page.get_by_role("link", name="Search with this picture").click()
    expect(page.locator("#results .captions li").first).to_be_visible()


@pytest.mark.ui
def test_a_lasso_selects_images(page: Page, app_url: str) -> None:
    open_map(page, app_url)
    page.get_by_label("Map of").click()
    page.get_by_role("option", name="pictures", exact=True).click()
    expect(page.locator("#map .legendtext")).to_have_count(0)  # a single trace has no legend
    page.locator("#map [data-title='Lasso Select']").click()
    frame = box(page, f"{MAP} .nsewdrag")
    left, top = frame["x"] + 1, frame["y"] + 1
    right, bottom = left + frame["width"] - 2, top + frame["height"] - 2
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top)):
        page.mouse.move(x, y, steps=5)
    page.mouse.up()
    expect(page.locator("#map-details .status")).to_contain_text("80 pictures and 0 captions selected")
    expect(page.locator("#map-details .cards li")).to_have_count(map_points.MOST_IMAGES)


@pytest.mark.ui
def test_a_search_links_to_its_query_on_the_map(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/?q=a+house+at+night&g=picturebook")
    page.get_by_role("link", name="on the map").click()
    expect(page.locator("#map .gtitle")).to_have_text("UMAP", timeout=120_000)
    expect(page.locator("#map-query textarea, #map-query input")).to_have_value("a house at night")
    assert page.evaluate(f"document.querySelector('{MAP}')._fullData.at(-1).marker.symbol") == "star"
    page.get_by_label("Colour by").click()
    page.get_by_role("option", name="cause of the miss").click()
    expect(page.locator("#map .legendtext").first).to_contain_text("right at rank 1")


@pytest.mark.ui
def test_hostile_captions_stay_text_on_the_map(page: Page, app_url: str, nasty: str) -> None:
    page.goto(f"{app_url}/analysis?tab=map&g=nasty")
    expect(page.locator("#map .legendtext").first).to_be_visible()
    page.wait_for_function(f"document.querySelector('{MAP}')._fullData.at(-1).x.length === 3")
    page.mouse.click(*point(page, MAP, -1))
    expect(page.locator(".map-point li").first).to_contain_text(nasty)
    assert page.evaluate("window.hacked") is None


@pytest.mark.ui
def test_a_meaningless_query_is_probably_not_here(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/?q=xqzt+wvrk&g=picturebook")
    expect(page.locator("#status .note").first).to_contain_text("do not contain “xqzt”")
    page.wait_for_function(  # the calibration is computed in the background
        """async () => {
          document.querySelector('#query .submit-button').click();
          await new Promise((after) => setTimeout(after, 1500));
          return document.querySelector('#status').innerText.includes('Probably not here');
        }"""
    )


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    encoder = load_encoder("starter:infonce")
    path = tmp_path_factory.mktemp("galleries") / "small"
    return Searcher(Gallery.build(load_pairs("picturebook:gallery@12"), encoder, path), encoder)


LONG = "images:" + "9" * 5000


@pytest.mark.parametrize(
    "key", ["images:12", "images:-1", "images:1e1", "captions:60", "x:0", "", None, 7, "images:٣", LONG]
)
def test_invalid_points_are_refused(searcher: Searcher, key: object) -> None:
    with pytest.raises(QueryError, match="no point"):
        map_points.parse(key, GalleryAnalysis(searcher.gallery))


def test_a_selection_counts_its_images_and_captions(searcher: Searcher) -> None:
    analysis = GalleryAnalysis(searcher.gallery)
    html = map_points.details(
        analysis, searcher, ["images:3", "captions:15", "captions:16", "images:0"], "small"
    )
    assert "2 pictures and 2 captions selected" in html
    assert html.count("data-item") == 2  # captions 15 and 16 belong to image 3
    with pytest.raises(QueryError, match="No point"):
        map_points.details(analysis, searcher, [], "small")
    with pytest.raises(QueryError, match="no such caption"):
        map_points.key_of_card(analysis, None, SimpleNamespace())


@pytest.mark.ui
def test_a_long_computation_can_be_stopped(page: Page, app_url: str) -> None:
    open_tab(page, app_url, "Query length")
    expect(page.locator("#length .gtitle")).to_contain_text("by number of words")
    page.get_by_label("first words of captions").check()
    page.locator("#length-stop").click()
    expect(page.locator("#length-stop")).to_be_hidden()
    page.get_by_label("whole captions").check()
    expect(page.locator("#length .gtitle")).to_contain_text("by number of words")
    expect(page.locator("#length-progress progress")).to_have_count(0)
