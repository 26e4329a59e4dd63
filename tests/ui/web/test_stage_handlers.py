"""Answers of the stage to what a browser can send."""

import json
import threading
from typing import Any
from urllib.parse import parse_qs

import pytest

from itr_core.picturebook.scene_code import decode, encode
from itr_core.picturebook.source import scene_of_id
from itr_core.picturebook.splits import scene_of
from ui.web.galleries import Galleries
from ui.web.search.handlers import SearchHandlers
from ui.web.stage.handlers import DEFAULT_ITEM, StageHandlers

CODE = encode(scene_of_id(DEFAULT_ITEM))


@pytest.fixture(scope="module")
def handlers() -> StageHandlers:
    galleries = Galleries(["picturebook:gallery@80"], None)
    galleries.searcher("picturebook", timeout=120)
    return StageHandlers(galleries)


def test_the_page_opens_with_a_scene_and_its_captions(handlers: StageHandlers) -> None:
    answer = handlers.stage({})
    assert json.loads(json.dumps(answer)) == {**answer, "things": json.loads(json.dumps(answer["things"]))}
    assert (answer["item"], answer["scene"], answer["start"]) == (DEFAULT_ITEM, CODE, CODE)
    assert (answer["notes"], answer["loading"]) == ([], None)
    assert answer["picture"].startswith("data:image/webp;base64,")
    assert len(answer["things"]) == len(scene_of_id(DEFAULT_ITEM).things)
    assert answer["own"]["before"] == answer["own"]["rank"]
    assert answer["own"]["true"] is True


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"do": "move", "thing": 0, "x": 0.4, "y": 0.95}, "Moved the white dog"),
        ({"do": "add", "kind": "bus"}, "Added a bus"),
        ({"do": "remove", "thing": 0}, "Removed the white dog"),
        ({"do": "change", "thing": 0, "attribute": "colour", "value": "brown"}, "The white dog: brown"),
        ({"do": "turn", "thing": 1}, "Turned the red car"),
        ({"do": "count", "thing": 0, "number": 2}, "Two dogs instead of one"),
        ({"do": "set", "name": "time", "value": "night"}, "Time: night"),
        ({"do": "set", "name": "place", "value": "meadow"}, "Place: meadow, without the red car"),
    ],
)
def test_every_edit_changes_the_scene_and_is_named(
    handlers: StageHandlers, edit: dict[str, Any], words: str
) -> None:
    answer = handlers.stage({"edit": edit})
    assert (answer["notes"], answer["done"]) == ([], words)
    assert answer["scene"] != CODE
    assert answer["start"] == CODE
    again = handlers.stage({"scene": answer["scene"]})
    assert [again[name] for name in ("scene", "picture", "captions")] == [
        answer[name] for name in ("scene", "picture", "captions")
    ]


@pytest.mark.parametrize(
    ("edit", "note"),
    [
        ({"do": "explode"}, "There is no edit 'explode'"),
        ({}, "There is no edit 'None'"),
        ({"do": "move", "thing": "0", "x": 0, "y": 0}, "whole number as 'thing'"),
        ({"do": "move", "thing": True, "x": 0, "y": 0}, "whole number as 'thing'"),
        ({"do": "move", "thing": 99, "x": 0, "y": 0}, "no thing 99"),
        ({"do": "move", "thing": 0, "x": float("nan"), "y": 0}, "a number as 'x'"),
        ({"do": "move", "thing": 0, "x": 10**400, "y": 0}, "a number as 'x'"),
        ({"do": "move", "thing": 0, "x": None, "y": 0}, "a number as 'x'"),
        ({"do": "add", "kind": ["dog"]}, "a text as 'kind'"),
        ({"do": "add", "kind": "<script>" * 100}, "there is never a <script>"),
        ({"do": "change", "thing": 0, "attribute": "x", "value": "1"}, "has no 'x'"),
        ({"do": "count", "thing": 0, "number": 10**9}, "1 to 4 equal things"),
        ({"do": "set", "name": "weather", "value": "hail"}, "no weather 'hail'"),
    ],
)  # fmt: skip
def test_an_impossible_edit_is_refused_with_the_reason(
    handlers: StageHandlers, edit: dict[str, Any], note: str
) -> None:
    answer = handlers.stage({"edit": edit})
    assert answer["scene"] == CODE
    assert note in answer["notes"][0]
    assert len(answer["notes"][0]) < 400


@pytest.mark.parametrize("request_", [None, 3, "x", [], {"scene": 3, "item": {}, "g": [], "caption": 1.5}])
def test_a_request_of_another_type_gets_the_first_scene(handlers: StageHandlers, request_: Any) -> None:
    assert handlers.stage(request_)["scene"] == CODE


@pytest.mark.parametrize(
    ("asked", "note"),
    [
        ({"scene": "0.farm.day.clear.1_dog"}, "of version '0'"),
        ({"scene": "<img src=x>"}, "of version"),
        ({"scene": "1" * 9000}, "at most 600 characters"),
        ({"item": "../../etc/passwd"}, "no image id of Picturebook"),
        ({"item": "moon-000001.png"}, "no split 'moon'"),
        ({"item": f"gallery-{'9' * 5000}"}, "no picture of Picturebook"),
        ({"item": "gallery-٣"}, "no picture of Picturebook"),
    ],
)
def test_a_hostile_or_old_address_gets_a_note_and_the_first_scene(
    handlers: StageHandlers, asked: dict[str, Any], note: str
) -> None:
    answer = handlers.stage(asked)
    assert answer["scene"] == CODE
    assert note in answer["notes"][0]


def test_any_picture_of_the_world_can_be_edited(handlers: StageHandlers) -> None:
    answer = handlers.stage({"item": "test-000017.png"})
    assert decode(answer["scene"]) == scene_of("test", 17)
    assert answer["own"]["of"] == 81  # it comes to the pictures of the gallery


def test_the_truth_of_a_written_caption_is_known_if_it_is_in_the_grammar(handlers: StageHandlers) -> None:
    for caption, true in (("a red car", True), ("2 dogs", False), ("xyzzy", None)):
        assert handlers.stage({"caption": caption})["own"]["true"] is true


def test_the_picture_of_an_edited_scene_can_be_searched_with(handlers: StageHandlers) -> None:
    edited = handlers.stage({"edit": {"do": "set", "name": "time", "value": "night"}})["scene"]
    search = SearchHandlers(handlers.galleries)
    answer = search.show(f"?scene={edited}", None)
    assert "Matching captions" in answer.results
    assert "Similar pictures" in answer.results
    assert parse_qs(answer.address["link"])["?scene"] == [edited]
    refused = search.show("?scene=0.moon", None)
    assert "version &#39;0&#39;" in refused.status
    assert refused.results == ""


def test_an_unknown_gallery_is_named_and_the_scene_can_still_be_edited(handlers: StageHandlers) -> None:
    answer = handlers.stage({"g": "moon", "edit": {"do": "set", "name": "time", "value": "night"}})
    assert "'moon'" in answer["notes"][0]
    assert decode(answer["scene"]).time == "night"
    assert answer["captions"] == []


def test_the_scene_can_be_edited_while_the_gallery_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = threading.Event()

    def wait(*_: object) -> None:
        opened.wait(60)
        raise RuntimeError("not opened in this test")

    monkeypatch.setattr(Galleries, "_load", wait)
    loading = StageHandlers(Galleries(["picturebook:gallery@80"], None))
    answer = loading.stage({"edit": {"do": "set", "name": "time", "value": "night"}})
    opened.set()
    assert answer["loading"] is not None
    assert decode(answer["scene"]).time == "night"
