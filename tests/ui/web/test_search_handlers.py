"""The searches behind the search page, without a browser."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from itr_core.gallery import Gallery
from itr_core.retrieval.filters import word_range
from ui.web.galleries import Galleries
from ui.web.search.handlers import SearchHandlers


@pytest.fixture
def building(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hold the build of galleries until the event is set."""
    go_on = threading.Event()
    build = Gallery.build

    def wait_and_build(*args: Any, **kwargs: Any) -> Gallery:
        kwargs["progress"](1, 8)
        go_on.wait(60)
        return build(*args, **kwargs)

    monkeypatch.setattr(Gallery, "build", wait_and_build)
    yield go_on
    go_on.set()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path))


def test_a_search_while_the_gallery_is_built_is_answered_once_it_is_ready(
    cache: None, building: threading.Event
) -> None:
    galleries = Galleries(["picturebook:gallery@8"], None)
    handlers = SearchHandlers(galleries)
    while not (galleries.progress("picturebook") or (0, 0))[1]:
        pass
    waiting = handlers.show("?q=a+red+car&k=4", None)
    assert waiting.address["loading"]
    assert "of 8" in waiting.status
    building.set()
    galleries.searcher("picturebook", timeout=60)
    found = handlers.show("?q=a+red+car&k=4", None)
    assert found.address["link"] == "?q=a+red+car&k=4&g=picturebook"
    assert found.results.count("data-item") == 4


def test_a_gallery_without_captions_is_searched(cache: None, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        Image.effect_noise((40, 40), 20 * number).save(folder / f"{number}.png")
    galleries = Galleries([f"folder:{folder}"], None)
    galleries.searcher("photos", timeout=60)
    handlers = SearchHandlers(galleries)
    for address in ("", "?surprise=yes", "?item=3.png&k=3", "?q=a+dog"):
        found = handlers.show(address, None)
        assert "data-item" in found.results, address
        assert "Matching captions" not in found.results
        assert "closest" not in found.results
    assert handlers.show("?item=3.png&k=3", None).results.count("data-item") == 3


def test_captions_of_so_many_words_are_found(cache: None) -> None:
    galleries = Galleries(["picturebook:gallery@80"], None)
    searcher = galleries.searcher("picturebook", timeout=60)
    handlers = SearchHandlers(galleries)
    item = searcher.gallery.column("image_id")[3]
    every = handlers.show(f"?item={item}&k=100", None)
    offered = re.findall(r'<option value="([-+0-9]+)"', every.results)
    assert len(offered) > 1
    for words in offered:
        found = handlers.show(f"?item={item}&k=100&words={quote(words)}", None)
        fewest, most = word_range(words)
        counts = [len(text.split()) for text in re.findall(r'<span class="text">([^<{]*)', found.results)]
        assert counts
        assert all((fewest or 0) <= count <= (most or 99) for count in counts)
        assert found.address["options"]["words"] == words
        assert f'<option value="{words}" selected>' in found.results
    for wrong, message in (
        ("8-3", "write 3-8"),
        ("<script>", "is no number of words"),
        ("99", "choose from"),
    ):
        found = handlers.show(f"?item={item}&k=100&words={quote(wrong)}", None)
        assert message in found.status
        assert "<script>" not in found.status
        assert found.results == every.results


NUMBERS = ["0", "-3", "1e9", "9" * 5000, "٣", "NaN"]


def test_refusals_keep_the_address_and_forget_its_options(cache: None) -> None:
    galleries = Galleries(["picturebook:gallery@8"], None)
    galleries.searcher("picturebook", timeout=60)
    handlers = SearchHandlers(galleries)
    wrong_numbers = [f"?q=a+ship&k={number}" for number in NUMBERS]
    for address in ["?" + "&".join(["q=x"] * 50), "?g=elsewhere", "?picture=own", *wrong_numbers]:
        answer = handlers.show(address, None)
        assert answer.address["link"] == address
        valid = {"k": "12", "g": "picturebook"} if address == "?picture=own" else {}
        assert answer.address["options"] == valid
        assert answer.results == ""
        assert "note" in answer.status
        assert ("from 1 to 100" in answer.status) == (address in wrong_numbers)
    sent: Any = 7  # browsers can send anything
    for link in (sent, "?q=a+ship&k="):
        assert handlers.show(link, None).results
