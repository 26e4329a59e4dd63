"""Scenes that several tests of Picturebook share."""

import pytest

from itr_core.picturebook.caption_builder import Caption
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.splits import scene_of


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    return [scene_of("train", index) for index in range(500)]


@pytest.fixture(scope="session")
def captions(scenes: list[Scene]) -> list[list[Caption]]:
    return [captions_of(scene) for scene in scenes]
