"""A gallery without captions beside one with captions: pictures find pictures, and no page is emptied."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import QueryError
from itr_core.gallery import Gallery
from itr_core.pairs import load_pairs
from tests.ui.async_calls import run_async
from ui.web.analysis import page
from ui.web.analysis.tab import Tab
from ui.web.analysis.tabs.map import map_tab
from ui.web.analysis.tabs.misses import misses_tab
from ui.web.analysis.tabs.overview import overview_tab
from ui.web.analysis.tabs.probes import probes_tab
from ui.web.analysis.tabs.query_length import query_length_tab
from ui.web.endpoints import Endpoints
from ui.web.galleries import Galleries
from ui.web.search.handlers import SearchHandlers

BOTH = ["photos", "drawings"]
MODEL = "picturebook-vit/none"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "photos"
    folder.mkdir()
    for number in range(6):
        Image.new("RGB", (32, 32), (40 * number, 90, 200 - 30 * number)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def galleries(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Galleries:
    """Serve a folder of photos as it is, and a gallery with captions and an untrained model."""
    encoder, folder = load_encoder(MODEL), tmp_path_factory.mktemp("galleries")
    Gallery.build(load_pairs("picturebook:test@12"), encoder, folder / "drawings")
    both = Galleries([str(photos), str(folder / "drawings")], MODEL)
    for name in BOTH:
        both.searcher(name, timeout=120)
    return both


@pytest.fixture(scope="module")
def tabs(galleries: Galleries) -> dict[str, Tab]:
    async def lay_all_out() -> dict[str, Tab]:
        laid_out = {
            "overview": overview_tab, "map": map_tab, "length": query_length_tab, "misses": misses_tab,
            "probes": probes_tab,
        }  # fmt: skip
        with gr.Blocks(analytics_enabled=False):
            return {name: lay_out(galleries, gr.Dropdown(BOTH)) for name, lay_out in laid_out.items()}

    return run_async(lay_all_out())  # without a running event loop, Gradio leaves one unclosed


def last(steps: Iterator[Any]) -> Any:
    *_, outputs = steps
    return outputs


def plotted(value: dict[str, Any]) -> list[str]:
    return sorted({trace["name"] for trace in value["figure"]["data"] if "name" in trace})


def test_an_upload_finds_pictures_on_the_page_and_in_the_api(
    galleries: Galleries, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.web.search.picture_box.UPLOADS.read", lambda key: (photos / key).read_bytes())
    handlers = SearchHandlers(galleries)
    found = handlers.show("?picture=own&g=photos", "3.png").results
    assert "Similar pictures" in found
    assert "Matching captions" not in found
    assert [hit["item_id"] for hit in Endpoints(galleries).search_image("3.png", 1, "photos")] == ["3.png"]
    assert "Matching captions" in handlers.show("?picture=own&g=drawings", "3.png").results


def test_overview_shows_what_each_gallery_has(tabs: dict[str, Tab]) -> None:
    plane, similarities, table = last(tabs["overview"].show(BOTH))
    assert plotted(plane) == ["drawings"]
    assert similarities is not None
    assert "needs captions" in table
    assert "6 pictures and 0 captions" in table
    plane, similarities, table = last(tabs["overview"].show(["photos"]))
    assert (plane, similarities) == (None, None)
    assert "Uniformity of pictures" in table


@pytest.mark.parametrize("kind", ["natural", "truncated"])
def test_query_length_shows_the_galleries_with_captions(tabs: dict[str, Tab], kind: str) -> None:
    _, note, value, _ = last(tabs["length"].show(BOTH, kind, 1, ""))
    assert plotted(value) == ["drawings"]
    assert "6 pictures and 0 captions" in note
    with pytest.raises(QueryError, match="6 pictures and 0 captions"):
        last(tabs["length"].show(["photos"], kind, 1, ""))


def test_no_old_plot_stays_below_an_error(galleries: Galleries, tabs: dict[str, Tab]) -> None:
    show = page._handler(galleries, tabs["length"])
    note, _, *emptied = last(show(gr.Request(), ["photos"], "natural", 1, ""))
    assert "6 pictures and 0 captions" in note
    assert emptied == [""] * 3
    assert "Select a gallery" in last(show(gr.Request(), [], "natural", 1, ""))[0]
    with pytest.raises(QueryError, match="Select a gallery"):
        galleries.first_paired([])


@pytest.mark.parametrize("kind", ["joint", "centred", "images", "captions"])
@pytest.mark.parametrize("colour", ["modality", "category", "length", "rank", "cause"])
def test_every_map_of_photos_shows_the_photos(tabs: dict[str, Tab], kind: str, colour: str) -> None:
    _, _, value, _ = last(tabs["map"].show(BOTH, kind, colour, "a dog", ""))
    assert plotted(value) == ["pictures", "query"]
    assert "NaN" not in json.dumps(value["figure"])
    assert "between the pictures most similar to it" in value["caption"]
    assert ("no captions, so the map" in value["caption"]) == (kind in ("centred", "captions"))
    assert ("has no labels" in value["caption"]) == (colour == "category")


def test_misses_and_probes_say_what_they_need(tabs: dict[str, Tab]) -> None:
    outputs = last(tabs["misses"].show(["photos"], "", "", "", "worst"))
    assert "6 pictures and 0 captions" in outputs.problem
    assert outputs.causes is None
    with pytest.raises(QueryError, match="no captions"):
        last(tabs["probes"].show(["photos"], "a dog", ""))


def test_misses_and_probes_show_the_first_gallery_with_captions(tabs: dict[str, Tab]) -> None:
    outputs = last(tabs["misses"].show(BOTH, "", "", "", "worst"))
    assert "caption" in outputs.cards
    assert plotted(outputs.causes) == ["drawings"]
    assert "its-captions" in last(tabs["probes"].show(BOTH, "", "")).card


def test_what_a_source_leaves_out_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "red.png")
    (tmp_path / "green.png").write_text("no picture")
    (tmp_path / "captions.txt").write_bytes("red.png,ein runder Ball für draußen\n".encode("latin-1"))
    Galleries([str(tmp_path)], MODEL).searcher(tmp_path.name, timeout=120)
    assert "captions.txt is not UTF-8 and is read as cp1252" in caplog.text
    assert "1 images or lines are skipped, the first is green.png: " in caplog.text
