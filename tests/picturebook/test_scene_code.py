"""Texts of scenes: they restore the scene exactly, are short, and everything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itr_core.picturebook.ontology import COLOURS, KINDS, PLACES, SIZES, STATES, TIMES, WEATHERS
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.scene_code import MOST_CHARACTERS, decode, encode
from itr_core.picturebook.scene_rules import SceneError
from itr_core.picturebook.splits import scene_of

CODE = encode(scene_of("gallery", 0))


def test_a_text_restores_the_scene_exactly(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert decode(encode(scene)) == scene


def test_texts_are_compact(scenes: list[Scene]) -> None:
    assert max(len(encode(scene)) for scene in scenes) < MOST_CHARACTERS / 2


def test_no_name_of_the_world_contains_a_separator() -> None:
    for names in (KINDS, PLACES, TIMES, WEATHERS, COLOURS, SIZES, STATES):
        assert not any(set("._") & set(name) for name in names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "version ''"),
        (f"0{CODE[1:]}", "version '0'"),
        ("x" * 601, "at most 600 characters, not 601"),
        ("1.farm.sunset", "needs place, time, weather and seed"),
        ("1.farm.sunset.snow.-1", "seed is '-1'"),
        ("1.farm.sunset.snow.٣_dog", "not a number"),
        ("1.farm.sunset.snow.1", "1 to 6 things, not 0"),
        ("1.farm.sunset.snow.1_dog", "x is ''"),
        ("1.farm.sunset.snow.1_dog.brown....nan.800", "x is 'nan'"),
        ("1.farm.sunset.snow.1_dog.brown...standing.500.800.q", "direction of a thing is 'q'"),
        ("1.farm.sunset.snow.1_dog.brown...standing.500.800.f.0.1", "at most 9 fields"),
        ("1.farm.sunset.snow.1_<script>.brown...standing.500.800", "no kind of thing '<script>'"),
        ("1.farm.sunset.snow.1_dog.brown...standing.500.800.f.0", "cannot hold it"),
        (CODE.replace("604", "9999999999"), "would reach out of the picture"),
        (CODE.replace("604", "99999999999"), "x is '99999999999', not a number"),
    ],
)
def test_damaged_texts_are_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(SceneError, match=message):
        decode(text)


@given(st.text(max_size=80) | st.lists(st.sampled_from([*CODE, ".", "_", "\0", "９"])).map("".join))
def test_any_text_is_a_scene_or_refused(text: str) -> None:
    for each in (text, CODE[: len(text)] + text, f"{CODE}_{text}"):
        try:
            scene = decode(each)
        except SceneError:
            continue
        assert decode(encode(scene)) == scene
