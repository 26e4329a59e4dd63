"""The plot of a map shows each point of both modalities once, with its key, text and colour."""

import numpy as np
import pytest

from analysis.figures.maps import embedding_map
from analysis.figures.style import GREY
from analysis.projection import Map


@pytest.fixture
def maps() -> dict[str, Map]:
    rows = np.eye(4, dtype=np.float32)
    return {
        "images": Map(rows[:3], np.arange(6, dtype=np.float32).reshape(3, 2)),
        "captions": Map(rows, -np.arange(8, dtype=np.float32).reshape(4, 2)),
    }


def test_modalities_differ_in_symbol_and_colour(maps: dict[str, Map]) -> None:
    captions, images = embedding_map(maps).data
    assert (captions.name, images.name) == ("captions", "pictures")
    assert captions.marker.symbol != images.marker.symbol
    assert captions.marker.color != images.marker.color
    assert list(images.x) == [0, 2, 4]
    assert list(images.customdata) == ["images:0", "images:1", "images:2"]


def test_only_the_requested_rows_are_drawn(maps: dict[str, Map]) -> None:
    rows = {"images": np.array([2]), "captions": np.array([0, 3])}
    text = {"images": ["a", "b", "c"], "captions": ["p", "q", "r", "<i>s</i>"]}
    captions, images = embedding_map(maps, rows=rows, text=text, webgl=False).data
    assert (images.type, list(images.customdata), list(images.hovertext)) == ("scatter", ["images:2"], ["c"])
    assert list(captions.hovertext) == ["p", "&lt;i&gt;s&lt;/i&gt;"]


def test_a_category_has_the_same_colour_in_both_modalities(maps: dict[str, Map]) -> None:
    kinds = {"images": ["cat", "dog", "dog"], "captions": ["dog", "cow", "cow", "dog"]}
    colours: dict[str, set[str]] = {}
    for trace in embedding_map(maps, colour=kinds).data:
        colours.setdefault(trace.name.partition(",")[0], set()).add(trace.marker.color)
    assert {kind: len(found) for kind, found in colours.items()} == {"cat": 1, "cow": 1, "dog": 1}
    assert len(set.union(*colours.values())) == 3
    assert colours["dog"] == {GREY}  # the most frequent


def test_no_two_of_many_categories_look_the_same(maps: dict[str, Map]) -> None:
    many = Map(np.eye(28, dtype=np.float32), np.zeros((28, 2), np.float32))
    drawn = embedding_map({"captions": many}, colour={"captions": [f"kind {n}" for n in range(28)]}).data
    assert len({(trace.marker.color, trace.marker.symbol) for trace in drawn}) == 28


def test_numbers_share_one_colour_scale(maps: dict[str, Map]) -> None:
    drawn = embedding_map(maps, colour={"images": [1, 2, 3], "captions": [4, 5, 6, 7]}, colour_title="words")
    assert [trace.marker.coloraxis for trace in drawn.data] == ["coloraxis"] * 2
    assert list(drawn.data[1].marker.color) == [1, 2, 3]
    assert drawn.layout.coloraxis.colorbar.title.text == "words"


def test_a_query_is_a_star_on_the_map_of_one_modality(maps: dict[str, Map]) -> None:
    points, query = embedding_map({"images": maps["images"]}, query=np.array([7.0, 8.0]), dark=True).data
    assert points.name == "pictures"
    assert (query.marker.symbol, list(query.x), list(query.y)) == ("star", [7], [8])
