"""The world's declared version: pictures and captions of 24 scenes, stored once for each version.

The scenes show every kind of thing and every place. If a test here fails after a change on purpose, raise
`WORLD_VERSION`, give it an identifier, and store its pictures and captions beside those of the old versions.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from itr_core.pairs import load_pairs
from itr_core.picturebook import source
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.ontology import KINDS, PLACES
from itr_core.picturebook.rendering import draw
from itr_core.picturebook.source import WORLD_VERSION, scene_of_id

GOLDEN = Path(__file__).with_name("golden")
SIDE, COLUMNS = 224, 6
TOLERANCE = 2
"""Levels of 255 that builds of Pillow may differ by, since one of its colour matrices is float32."""


@pytest.fixture(scope="module")
def captions() -> dict[str, list[str]]:
    return json.loads((GOLDEN / f"{WORLD_VERSION}.json").read_text(encoding="utf-8"))


def golden_picture(place: int) -> np.ndarray:
    sheet = np.asarray(Image.open(GOLDEN / f"{WORLD_VERSION}.webp").convert("RGB"), dtype=np.int16)
    top, left = SIDE * (place // COLUMNS), SIDE * (place % COLUMNS)
    return sheet[top : top + SIDE, left : left + SIDE]


def test_the_golden_scenes_cover_the_world(captions: dict[str, list[str]]) -> None:
    scenes = [scene_of_id(image_id) for image_id in captions]
    assert {thing.kind for scene in scenes for thing in scene.things} == set(KINDS)
    assert {scene.place for scene in scenes} == set(PLACES)


def test_pictures_of_this_version_are_as_stored(captions: dict[str, list[str]]) -> None:
    for place, image_id in enumerate(captions):
        drawn = np.asarray(draw(scene_of_id(image_id)), dtype=np.int16)
        difference = np.abs(drawn - golden_picture(place)).max()
        assert difference <= TOLERANCE, f"{image_id} is drawn differently: raise WORLD_VERSION"


def test_captions_of_this_version_are_as_stored(captions: dict[str, list[str]]) -> None:
    for image_id, stored in captions.items():
        worded = [caption.text for caption in captions_of(scene_of_id(image_id))]
        assert worded == stored, f"{image_id} is captioned differently: raise WORLD_VERSION"


def test_fingerprints_depend_on_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    today = load_pairs("picturebook:test@5").fingerprint
    assert today == "41b6484a47a88cd20a5f57f34a974b9b9cccb5ae58ebdf3ae46b0630753e3fdb"  # of version 2026.1
    monkeypatch.setitem(source._WORLD_IDS, "next", "another")
    monkeypatch.setattr(source, "WORLD_VERSION", "next")
    assert load_pairs("picturebook:test@5").fingerprint != today
