"""Twins: two scenes that differ in one fact. In one batch, each is a hard negative image of the other.

Most images of a random batch differ in their place or their kinds of things, so that a model can tell them
apart without counting and without left and right. Twins can only be told apart by what differs.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from itertools import combinations
from typing import TypeVar

import numpy as np

from itr_core.picturebook import scene_edits
from itr_core.picturebook.ontology import KINDS, PLACES, TIMES
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.scene_rules import MOST_ALIKE, SceneError, sizes_of
from itr_core.picturebook.semantics import SceneFacts
from itr_core.picturebook.splits import may_have, scene_of
from itr_core.picturebook.wording import MASS

T = TypeVar("T")
_MOVES = 12
"""Random positions to which each thing is moved, until one fits."""


@lru_cache(maxsize=4_096)
def twin_of(index: int) -> Scene:
    """Return the twin of training scene `index`: the same scene with one other fact.

    It has another number of equal things, another colour, pattern, size or state of a thing, two colours
    exchanged, a thing moved into other relations, left and right exchanged, or another time or weather. Its
    content is in the split train, too.
    """
    scene = scene_of("train", index)
    rng = np.random.default_rng([scene.seed, 7])
    changes = list(_CHANGES)
    order = rng.choice(len(changes), len(changes), replace=False, p=list(_CHANGES.values()))
    twins = (twin for i in order for twin in changes[i](scene, rng))
    return next(twin for twin in twins if may_have("train", twin) and _differ(scene, twin))


def _differ(scene: Scene, twin: Scene) -> bool:
    """Whether the twins differ in a fact that can be stated."""
    stated = [(s.time, s.weather, [thing.look for thing in s.things]) for s in (scene, twin)]
    return stated[0] != stated[1] or SceneFacts(scene).relations != SceneFacts(twin).relations


def _other_number(scene: Scene, rng: np.random.Generator) -> Iterator[Scene]:
    for index in _shuffled(rng, range(len(scene.things))):
        look = scene.things[index].look
        number = sum(thing.look == look for thing in scene.things)
        for other in _shuffled(rng, range(1, MOST_ALIKE + 1)):
            if other != number and look.kind not in MASS:
                with suppress(SceneError):
                    yield scene_edits.count(scene, index, other)


def _other_attribute(scene: Scene, rng: np.random.Generator) -> Iterator[Scene]:
    for index in _shuffled(rng, range(len(scene.things))):
        kind = KINDS[scene.things[index].kind]
        known = {
            "colour": kind.colours,
            "pattern": kind.patterns,
            "size": sizes_of(kind),
            "state": kind.states,
        }
        for name, value in _shuffled(rng, [(name, value) for name, each in known.items() for value in each]):
            with suppress(SceneError):
                yield _changed(scene, index, name, value)


def _exchanged_colours(scene: Scene, rng: np.random.Generator) -> Iterator[Scene]:
    for a, b in _shuffled(rng, list(combinations(range(len(scene.things)), 2))):
        colours = scene.things[a].colour, scene.things[b].colour
        if None not in colours:
            with suppress(SceneError):
                yield _changed(_changed(scene, a, "colour", colours[1]), b, "colour", colours[0])


def _moved(scene: Scene, rng: np.random.Generator) -> Iterator[Scene]:
    for index in _shuffled(rng, range(len(scene.things))):
        for x, y in rng.random((_MOVES, 2)).tolist():
            with suppress(SceneError):
                yield scene_edits.move(scene, index, x, y)


def _mirrored(scene: Scene, rng: np.random.Generator) -> Iterator[Scene]:
    yield replace(scene, things=tuple(replace(each, x=round(1 - each.x, 3)) for each in scene.things))


def _other_time_or_weather(scene: Scene, rng: np.random.Generator) -> Iterator[Scene]:
    known = {"time": TIMES, "weather": PLACES[scene.place].weathers}
    for name, value in _shuffled(rng, [(name, value) for name, each in known.items() for value in each]):
        yield scene_edits.set_setting(scene, name, value)[0]


_CHANGES = {
    _other_number: 0.35,
    _other_attribute: 0.2,
    _exchanged_colours: 0.1,
    _moved: 0.15,
    _mirrored: 0.15,
    _other_time_or_weather: 0.05,
}
"""Change -> probability that it is tried first."""


def _changed(scene: Scene, index: int, name: str, value: str | None) -> Scene:
    """Change an attribute of all things that look like thing `index`, so that their number stays."""
    look = scene.things[index].look
    for i, thing in enumerate(scene.things):
        if thing.look == look:
            scene = scene_edits.change(scene, i, name, value)
    return scene


def _shuffled(rng: np.random.Generator, values: Sequence[T]) -> list[T]:
    return [values[i] for i in rng.permutation(len(values))]
