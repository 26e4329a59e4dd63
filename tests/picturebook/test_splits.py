"""Splits: disjoint in content, reproducible, with combinations that only one of them shows."""

import os
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest

from itr_core.errors import SourceError
from itr_core.picturebook.captions import captions_of
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.splits import SPLITS, UNSEEN, scene_of

REFERENCE = "3b10a27973fdabeb121fad1235332503049b6805c7b2585b526cb4651a77b13e"
"""Digest of the first scenes and captions of every split. It changes with the ontology, the proportions of
the drawings, the sampler and the wording; the starter models must then be retrained."""


def _content(scene: Scene) -> tuple[object, ...]:
    """The content of a scene without positions."""
    return scene.place, scene.time, scene.weather, frozenset(Counter(t.look for t in scene.things).items())


@pytest.fixture(scope="module")
def contents(scenes: list[Scene]) -> dict[str, list[Scene]]:
    found = {name: [scene_of(name, index) for index in range(500)] for name in SPLITS if name != "train"}
    return found | {"train": scenes + [scene_of("train", index) for index in range(500, 3000)]}


def test_no_content_is_in_two_splits(contents: dict[str, list[Scene]]) -> None:
    shown = {name: set(map(_content, scenes)) for name, scenes in contents.items()}
    for name, own in shown.items():
        assert len(own) > 0.9 * len(contents[name])
        for other in shown.keys() - {name}:
            assert not own & shown[other]


def test_unseen_combinations_are_only_in_their_split(contents: dict[str, list[Scene]]) -> None:
    assert len(UNSEEN) >= 20
    for name, scenes in contents.items():
        for scene in scenes:
            novel = {(thing.kind, thing.colour) for thing in scene.things} & UNSEEN
            assert bool(novel) == (name == "test_unseen")


def test_unseen_combinations_are_of_colours_and_kinds_that_train_shows(
    contents: dict[str, list[Scene]],
) -> None:
    things = [thing for scene in contents["train"] for thing in scene.things]
    assert {kind for kind, _ in UNSEEN} <= {thing.kind for thing in things}
    assert {colour for _, colour in UNSEEN} <= {thing.colour for thing in things}


def test_a_scene_depends_on_nothing_but_split_and_index() -> None:
    assert scene_of("val", 3) == scene_of("val", 3)
    assert len({scene_of("val", index) for index in range(50)}) == 50


def _digest() -> str:
    records = ((s, captions_of(s)) for name in SPLITS for s in (scene_of(name, i) for i in range(20)))
    return sha256("".join(map(repr, records)).encode()).hexdigest()


def test_same_world_on_every_machine() -> None:
    assert _digest() == REFERENCE


def test_hash_randomisation_changes_nothing() -> None:
    program = (
        "from itr_core.picturebook.captions import captions_of;"
        "from itr_core.picturebook.splits import scene_of;"
        "print([captions_of(scene_of('test', i)) for i in range(20)])"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_unknown_split_is_named_with_the_nearest() -> None:
    with pytest.raises(SourceError, match=r"'tests'.*Did you mean 'test'"):
        scene_of("tests", 0)
