"""Every kind has a drawing in the agreed form; a picture shows what its scene says and nothing by chance."""

import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from PIL import Image

from itr_core.picturebook.backdrops import FOLDER, backdrop
from itr_core.picturebook.ontology import COLOURS, KINDS, PLACES, TIMES
from itr_core.picturebook.rendering import draw
from itr_core.picturebook.scene import Scene, Thing
from itr_core.picturebook.sprites import DrawingError, contact_sheet, extent, looks, sprite, svg

DRAWINGS = [(kind.name, state) for kind in KINDS.values() for state in kind.states or [None]]
STAGES = [(place, time, weather) for place in PLACES for time in TIMES for weather in PLACES[place].weathers]

CAR = Thing("car", "red", "plain", "medium", None, 0.4, 0.85)
MAN = Thing("man", "blue", "plain", "medium", "standing", 0.75, 0.9)
STREET = Scene("street", "day", "clear", (CAR, MAN), seed=3)


def alpha(image: Image.Image) -> np.ndarray:
    return np.asarray(image.getchannel("A"))


def with_car(**changes: Any) -> Scene:
    return replace(STREET, things=(replace(CAR, **changes), MAN))


@pytest.mark.parametrize(("kind", "state"), DRAWINGS)
def test_a_drawing_fills_its_box_and_stands_on_its_lower_edge(kind: str, state: str | None) -> None:
    shape = alpha(sprite(kind, state, height_px=200))
    height, width = shape.shape
    assert width == pytest.approx(200 * extent(kind, state)[0] / extent(kind, state)[1], abs=1)
    rows, columns = np.flatnonzero(shape.any(1)), np.flatnonzero(shape.any(0))
    assert shape[-2:].any()
    assert rows[0] <= 0.05 * height
    assert columns[0] <= 0.05 * max(width, height)
    assert columns[-1] >= width - 1 - 0.05 * max(width, height)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_state_is_one_kind_height_high(kind: str) -> None:
    assert extent(kind) == extent(kind, next(iter(KINDS[kind].states), None))
    assert extent(kind)[1] == 1


@pytest.mark.parametrize(("kind", "state"), [d for d in DRAWINGS if KINDS[d[0]].colours])
def test_a_thing_is_seen_in_its_own_colour(kind: str, state: str | None) -> None:
    first, second = [*KINDS[kind].colours, "blue"][:2]
    pictures = [
        np.asarray(sprite(kind, state, colour, height_px=100)).astype(int) for colour in (first, second)
    ]
    changed = (abs(pictures[0] - pictures[1]).sum(-1) > 30) & (alpha(sprite(kind, state, height_px=100)) > 0)
    assert changed.sum() > 0.1 * (pictures[0][..., 3] > 0).sum()
    for colour, picture in zip((first, second), pictures, strict=True):
        main = [int(COLOURS[colour][i : i + 2], 16) for i in (1, 3, 5)]
        assert (abs(picture[..., :3] - main).max(-1) <= 2).sum() > 0.05 * (picture[..., 3] > 0).sum()


PATTERNED = [
    (kind, state, pattern)
    for kind, state in DRAWINGS
    for pattern in KINDS[kind].patterns
    if pattern != "plain"
]


@pytest.mark.parametrize(("kind", "state", "pattern"), PATTERNED)
def test_a_pattern_is_seen_on_every_colour(kind: str, state: str | None, pattern: str) -> None:
    for colour in KINDS[kind].colours:
        plain, styled_svg = (
            np.asarray(sprite(kind, state, colour, p, 60).convert("RGB")).astype(int)
            for p in ("plain", pattern)
        )
        assert (abs(plain - styled_svg).sum(-1) > 60).mean() > 0.02


def test_a_flipped_sprite_is_its_mirror_image() -> None:
    right, left = (np.asarray(sprite("car", None, "red", "plain", 60, flip)) for flip in (False, True))
    assert np.array_equal(right[:, ::-1], left)
    assert not np.array_equal(right, left)


def test_an_unknown_kind_is_named_with_its_neighbour() -> None:
    with pytest.raises(DrawingError, match=r"elefant.*Did you mean 'elephant'"):
        svg("elefant")


def test_the_contact_sheet_shows_every_look() -> None:
    columns, cell = 16, 48
    sheet = contact_sheet(columns, cell)
    for i, _ in enumerate(looks()):
        left, top = i % columns * cell, i // columns * (sheet.height // -(-len(list(looks())) // columns))
        colours = sheet.crop((left, top, left + cell, top + cell - 8)).getcolors()
        assert colours is None or len(colours) > 8
    assert {(kind, state) for kind, state, *_ in looks()} == set(DRAWINGS)


def test_every_place_has_a_stage_that_differs_in_every_time_weather_and_variant() -> None:
    assert {path.stem for path in FOLDER.glob("*.svg")} == {*PLACES, "sky", "weather"}
    stages = {backdrop(*stage, variant, 64).tobytes() for stage in STAGES for variant in range(3)}
    assert len(stages) == 3 * len(STAGES)


@pytest.mark.parametrize("place", PLACES)
def test_nights_are_darker_than_days_and_snow_lighter_than_rain(place: str) -> None:
    light = {
        (time, weather): np.asarray(backdrop(p, time, weather, 0, 64)).mean()
        for p, time, weather in STAGES
        if p == place
    }
    for weather in PLACES[place].weathers:
        assert light["night", weather] < 0.85 * light["day", weather]
    if {"rain", "snow"} <= {*PLACES[place].weathers}:
        assert light["day", "snow"] > light["day", "rain"]


def test_every_change_of_the_scene_changes_the_picture() -> None:
    changed = [
        replace(STREET, time="sunset"),
        replace(STREET, weather="rain"),
        replace(STREET, place="harbour"),
        replace(STREET, seed=4),
        replace(STREET, seed=0),
        replace(STREET, things=(CAR,)),
        replace(STREET, things=(CAR, replace(MAN, state="walking"))),
        replace(STREET, things=(CAR, replace(MAN, pattern="striped"))),
        with_car(colour="blue"),
        with_car(kind="truck"),
        with_car(size="big"),
        with_car(x=0.5),
        with_car(y=0.8),
        with_car(flip=True),
    ]
    pictures = {draw(scene, 96).tobytes() for scene in [STREET, *changed]}
    assert len(pictures) == len(changed) + 1


def test_the_same_scene_is_the_same_picture_in_another_process() -> None:
    program = (
        "from hashlib import sha256\n"
        "from itr_core.picturebook.rendering import draw\n"
        "from itr_core.picturebook.scene import Scene, Thing\n"
        f"print(sha256(draw({STREET!r}, 128).tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == sha256(draw(STREET, 128).tobytes()).hexdigest()


def test_drawing_leaves_the_kept_stage_untouched() -> None:
    before = backdrop("street", "day", "clear", 0, 96).tobytes()
    draw(STREET, 96)
    assert backdrop("street", "day", "clear", 0, 96).tobytes() == before


@pytest.mark.parametrize("size", [64, 112, 224])
def test_a_scene_looks_alike_at_every_size(size: int) -> None:
    picture = draw(STREET, size)
    assert (picture.mode, picture.size) == ("RGB", (size, size))
    small, large = (
        np.asarray(p.resize((32, 32), Image.Resampling.BOX)).astype(int) for p in (picture, draw(STREET, 448))
    )
    assert abs(small - large).mean() < 5


@pytest.mark.parametrize("time", TIMES)
def test_a_red_car_is_red_at_any_time(time: str) -> None:
    with_it = np.asarray(draw(replace(STREET, time=time, things=(CAR,)), 224)).astype(int)
    without = np.asarray(draw(replace(STREET, time=time, things=()), 224)).astype(int)
    seen = with_it[abs(with_it - without).sum(-1) > 0]
    red = (seen[:, 0] > 1.6 * seen[:, 1]) & (seen[:, 0] > 1.6 * seen[:, 2])
    assert red.mean() > 0.2


def test_nearer_things_hide_those_behind_them() -> None:
    man = replace(MAN, x=0.4, y=0.8)
    behind = draw(replace(STREET, things=(CAR, man)), 112)
    assert behind.tobytes() == draw(replace(STREET, things=(man, CAR)), 112).tobytes()
    assert behind.tobytes() != draw(replace(STREET, things=(CAR, replace(man, y=0.95))), 112).tobytes()
