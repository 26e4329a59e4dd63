"""The tabs Misses and Probes: filters, verdicts, invalid events, changed captions."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from analysis.gallery_analysis import GalleryAnalysis
from analysis.misses.causes import confusion
from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import ModelError, QueryError
from itr_core.gallery import Gallery
from itr_core.gallery.build import VERDICTS
from itr_core.pairs import load_pairs
from itr_core.retrieval.searcher import Searcher
from ui.web.analysis.panels import miss_cards, probe_card
from ui.web.analysis.panels.miss_cards import MissFilter

MISSES, PROBLEM = "#misses .misses > li", "#misses-problem .note"


@pytest.fixture(scope="module")
def searcher(configs: Path, tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """Search with an untrained model, so that almost every query is a miss."""
    encoder = load_encoder("tiny/none")
    path = tmp_path_factory.mktemp("galleries") / "small"
    return Searcher(Gallery.build(load_pairs("picturebook:test@12"), encoder, path), encoder)


@pytest.fixture
def analysis(searcher: Searcher) -> Iterator[GalleryAnalysis]:
    yield GalleryAnalysis(searcher.gallery)
    (searcher.gallery.path / VERDICTS).unlink(missing_ok=True)


# ---- panels


def test_filters_return_as_many_misses_as_they_announce(analysis: GalleryAnalysis) -> None:
    table = analysis.misses()
    assert len(table) > 20
    for column, wanted in (("cause", MissFilter(cause="wrong object")), ("direction", MissFilter("i2t"))):
        (value,) = filter(None, wanted[:3])
        rows = miss_cards.select(table, wanted)
        assert len(rows) == (table[column] == value).sum() > 0
        assert (f"{value} ({len(rows)})", value) in miss_cards.choices(table, column, "all")
    common = confusion(table).sort_values("misses", ascending=False).iloc[0]
    pair = (common["concept"], common["captioned"], common["depicted"])
    assert len(miss_cards.select(table, MissFilter(confused=pair))) == common["misses"]
    html = miss_cards.confusions(table, MissFilter(confused=pair))
    assert html.count('aria-pressed="true"') == 1
    assert miss_cards.select(table, MissFilter("t2i", "hub", "", ("colour", "no", "such"))).empty


def test_the_last_verdict_on_a_miss_counts(analysis: GalleryAnalysis) -> None:
    row = analysis.misses().iloc[0]
    miss = (row["direction"], row["query"], row["found"])
    for verdict in ("unclear", "actually right"):
        miss_cards.judge(analysis, *miss, verdict)
    html, verdicts = miss_cards.saved_verdicts(analysis)
    assert verdicts == {miss: "actually right"}
    assert re.search(r"<b>1</b> verdict: 1 actually right\.", html)
    lines = (analysis.gallery.path / VERDICTS).read_text().splitlines()
    assert [json.loads(line)["verdict"] for line in lines] == ["unclear", "actually right"]
    cards = miss_cards.cards(analysis, "small", analysis.misses().head(1), verdicts)
    assert re.findall(r'aria-pressed="true">([^<]*)', cards) == ["actually right"]
    assert 'href="./?item=' in cards


@pytest.mark.parametrize(
    "sent",
    [
        ("t2i", "999999", "0", "unclear"), ("t2i", "-1", "0", "unclear"), ("t2i", "1e3", None, "unclear"),
        ("x", "0", "0", "unclear"), (["t2i"], {}, "٣", "unclear"), ("t2i", "9" * 5000, "0", "unclear"),
    ],
)  # fmt: skip
def test_verdicts_on_unknown_misses_are_refused(analysis: GalleryAnalysis, sent: tuple[Any, ...]) -> None:
    with pytest.raises(QueryError, match="no such miss"):
        miss_cards.judge(analysis, *sent)
    assert not (analysis.gallery.path / VERDICTS).exists()


def test_an_unknown_verdict_is_refused(analysis: GalleryAnalysis) -> None:
    row = analysis.misses().iloc[0]
    with pytest.raises(QueryError, match="Unknown verdict"):
        miss_cards.judge(analysis, row["direction"], row["query"], row["found"], "<b>right</b>")


@pytest.mark.parametrize("key", [None, "", "t2i", "t2i nothing", "hub t2i", ["t2i hub"], {"a": 1}])
def test_only_bars_of_the_figure_can_be_clicked(key: Any) -> None:
    with pytest.raises(QueryError, match="no bar"):
        miss_cards.parse_bar(key)
    assert miss_cards.parse_bar("i2t wrong object") == ("i2t", "wrong object")


def test_a_verdict_that_cannot_be_saved_gives_the_reason(analysis: GalleryAnalysis, tmp_path: Path) -> None:
    row = analysis.misses().iloc[0]
    (tmp_path / "analysis").write_text("a file where the folder should be")
    elsewhere = SimpleNamespace(path=tmp_path, manifest=analysis.gallery.manifest)
    stuck: Any = SimpleNamespace(gallery=elsewhere, misses=analysis.misses)
    with pytest.raises(QueryError, match=r"cannot be saved in the gallery's folder: File exists\.$"):
        miss_cards.judge(stuck, row["direction"], row["query"], row["found"], "unclear")
    assert "No verdicts yet" in miss_cards.saved_verdicts(stuck)[0]


def test_a_damaged_file_of_verdicts_is_reported(analysis: GalleryAnalysis) -> None:
    (analysis.gallery.path / VERDICTS).write_text('{"verdict": "<b>"}\n')
    html, verdicts = miss_cards.saved_verdicts(analysis)
    assert verdicts == {}
    assert "1 line of the file cannot be read: line 1." in html
    assert "<b>" not in html


def test_an_image_is_found_by_id_and_by_words(analysis: GalleryAnalysis, searcher: Searcher) -> None:
    items = analysis.gallery.items
    row, position = probe_card.find(analysis, searcher, f" {items['image_id'][7]} ")
    assert (row, position) == (7, max(range(5), key=lambda k: len(items["captions"][7][k])))
    row, position = probe_card.find(analysis, searcher, "a red car")
    (hit,) = searcher.search_text("a red car", 1)
    assert (items["image_id"][row], items["captions"][row][position]) == (hit.item_id, hit.caption)
    assert probe_card.find(analysis, searcher, "")[0] == 0
    assert probe_card.captioned_image(analysis, 0.999)[0] == 11


@pytest.mark.parametrize(
    ("item", "position"), [(None, None), ("x", None), ("x", "0"), (None, "-1"), ([], {}), ("x", "9" * 10)]
)
def test_unknown_captions_are_refused(analysis: GalleryAnalysis, item: Any, position: Any) -> None:
    with pytest.raises(QueryError):
        probe_card.parse(analysis, item, position)


def test_probes_of_an_image(
    analysis: GalleryAnalysis, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = probe_card.ProbeCard(analysis, searcher, 3, 4)
    assert card.importance()["word"].tolist() == card.caption.split()
    table = card.table()
    assert table.count("<ins>") >= 4
    assert "is known exactly" in table
    assert card.card("small").count('data-shades="') == len(card.caption.split())
    with pytest.raises(QueryError, match="no such caption"):
        probe_card.ProbeCard(analysis, searcher, 3, 5)

    def raise_model_error(*_: Any) -> Any:
        raise ModelError("The model has no tokens.")

    monkeypatch.setattr(probe_card, "word_patch_map", raise_model_error)
    assert "cannot be shown: The model has no tokens." in card.card("small")


def test_the_probe_accuracy_of_a_gallery_is_computed_once(
    analysis: GalleryAnalysis, searcher: Searcher
) -> None:
    steps: list[tuple[int, int]] = []
    table = analysis.probe_accuracy(searcher, progress=lambda *step: steps.append(step))
    assert set(table.columns) == {"probes", "images", "accuracy", "low", "high"}
    assert steps
    again = GalleryAnalysis(searcher.gallery).probe_accuracy(
        searcher, progress=lambda *_: pytest.fail("computed again")
    )
    assert again.equals(table)


# ---- the page


def open_tab(page: Page, url: str, title: str, ready: str) -> None:
    page.goto(f"{url}/analysis")
    expect(page.locator("#measures table")).to_be_visible()
    page.get_by_role("tab", name=title).click()
    expect(page.locator(ready).first).to_be_visible()


def choose(page: Page, box: str, option: str | re.Pattern[str]) -> None:
    page.locator(f"{box} input").click()
    page.get_by_role("option", name=option).click()


@pytest.mark.ui
def test_misses_are_filtered_by_menu_by_bar_and_by_confusion(page: Page, app_url: str) -> None:
    open_tab(page, app_url, "Misses", MISSES)
    expect(page.locator("#misses-summary")).to_contain_text("false negatives")
    assert page.locator(MISSES).count() == 24
    page.locator("#misses-more").click()
    expect(page.locator(MISSES)).to_have_count(48)
    choose(page, "#misses-cause", re.compile("wrong object"))
    expect(page.locator("#misses-summary")).to_contain_text("Wrong object:")
    causes = page.locator(f"{MISSES} .why b:first-child").all_inner_texts()
    assert {each for each in causes if each.startswith("Wrong")} == {"Wrong object"}

    bar = page.locator("#causes .bars path").first.bounding_box()
    assert bar is not None
    page.mouse.click(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2)
    expect(page.locator("#misses-summary")).to_contain_text("Also correct (false negative):")
    expect(page.locator("#misses-direction input")).to_have_value(re.compile("T2I"))
    choose(page, "#misses-cause", re.compile("^all"))
    row = page.locator("#confusions button").first
    word = row.inner_text()
    row.click()
    pressed = page.locator("#confusions button[aria-pressed=true]")
    expect(pressed).to_have_count(1)
    for difference in page.locator(f"{MISSES} .why p:last-child").all_inner_texts():
        assert f"the caption says {word}" in difference
    pressed.click()
    expect(pressed).to_have_count(0)


@pytest.mark.ui
def test_a_verdict_is_shown_and_saved(page: Page, app_url: str) -> None:
    open_tab(page, app_url, "Misses", MISSES)
    button = page.locator(f"{MISSES} .judge button", has_text="actually right").first
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(button).to_be_focused()
    link = page.locator("#verdicts a")
    expect(link).to_be_visible()
    with page.expect_download() as download:
        link.click()
    saved = [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]
    about = {
        name: button.get_attribute(f"data-{name}") for name in ("direction", "query", "found", "verdict")
    }
    assert {name: str(saved[-1][name]) for name in about} == about
    open_tab(page, app_url, "Misses", MISSES)
    expect(page.locator(f"{MISSES} .judge button[aria-pressed=true]").first).to_have_text("actually right")


@pytest.mark.ui
def test_tampered_events_show_a_note(page: Page, app_url: str) -> None:
    open_tab(page, app_url, "Misses", MISSES)
    button = page.locator(f"{MISSES} .judge button", has_text="unclear").last
    button.evaluate("button => { button.dataset.query = '<b>'; }")
    button.click()
    expect(page.locator(PROBLEM)).to_contain_text("no such miss")
    expect(page.locator(f"{MISSES} .judge button").last).to_have_attribute("aria-pressed", "false")
    page.locator("#confusions button").first.evaluate("row => { row.dataset.captioned = '${1}'; }")
    page.locator("#confusions button").first.click()
    expect(page.locator(PROBLEM)).to_contain_text("No misses match this filter")


@pytest.mark.ui
def test_probes_of_a_query_in_the_page(page: Page, app_url: str) -> None:
    open_tab(page, app_url, "Probes", "table.probes ins")
    page.locator("#probes-query :is(input, textarea)").fill("a red car")
    page.keyboard.press("Enter")
    expect(page.locator("table.probes .original th").first).to_contain_text("car")
    word = page.locator(".words button", has_text=re.compile("^(car|automobile)")).first
    word.click()
    expect(word).to_have_attribute("aria-pressed", "true")
    patches = page.locator(".patches i").count()
    assert patches > 1
    assert round(patches**0.5) ** 2 == patches
    expect(page.locator("#probe-card .best-patch")).to_contain_text("fits best in row")
    word.click()
    expect(page.locator(".patches i")).to_have_count(0)
    page.locator(".its-captions button").first.click()
    expect(page.locator(".its-captions button").first).to_have_attribute("aria-pressed", "true")
    before = page.locator("#probe-card .image img").get_attribute("src")
    page.locator("#probes-surprise").click()
    expect(page.locator("#probes-query :is(input, textarea)")).to_have_value(re.compile(r"\.png$"))
    assert before
    page.locator("#probes-measure").click()
    expect(page.locator("#accuracy .errorbars path, #accuracy .scatterlayer path").first).to_be_visible()


@pytest.mark.ui
def test_hostile_captions_stay_text_in_both_tabs(page: Page, app_url: str, nasty: str) -> None:
    page.goto(f"{app_url}/analysis?tab=misses&g=nasty")
    expect(page.locator(MISSES).filter(has_text=nasty).first).to_be_visible()
    page.get_by_role("tab", name="Probes").click()
    expect(page.locator("#probe-card img").first).to_have_attribute("alt", re.compile("window.hacked"))
    for word in page.locator(".words button").all():
        word.click()
    assert page.evaluate("window.hacked") is None


@pytest.mark.ui
def test_both_tabs_fit_the_width_of_a_phone(page: Page, app_url: str) -> None:
    open_tab(page, app_url, "Misses", MISSES)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("document.documentElement.scrollWidth <= 390")
    page.set_viewport_size({"width": 1280, "height": 844})
    page.get_by_role("tab", name="Probes").click()
    expect(page.locator("table.probes ins").first).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("document.documentElement.scrollWidth <= 390")
