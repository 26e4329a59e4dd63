"""Random edits of scenes, for tests of everything that follows an edit."""

from collections.abc import Iterator

import numpy as np

from itr_core.picturebook import scene_edits
from itr_core.picturebook.ontology import KINDS, PLACES, SIZES, TIMES, WEATHERS
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.scene_rules import SceneError
from itr_core.picturebook.splits import scene_of

EDITS_OF_A_SCENE = 25


def random_edit(scene: Scene, rng: np.random.Generator) -> Scene:
    """Return the scene after a random edit of any type; raise SceneError if that one is impossible."""
    index = int(rng.integers(len(scene.things)))
    kind = KINDS[scene.things[index].kind]

    def any_of(values: object) -> str | None:
        names = list(values) or [None]  # type: ignore[call-overload]  # mappings and lists of names
        return names[int(rng.integers(len(names)))]

    values = {"colour": kind.colours, "pattern": kind.patterns, "size": SIZES, "state": kind.states}
    attribute = str(any_of(values))
    holders = [None, *range(len(scene.things))]
    edits = {
        "move": lambda: scene_edits.move(scene, index, rng.random(), rng.random()),
        "add": lambda: scene_edits.add(scene, str(any_of(KINDS))),
        "add what occurs here": lambda: scene_edits.add(
            scene, str(any_of([name for name in KINDS if scene.place in KINDS[name].places]))
        ),
        "remove": lambda: scene_edits.remove(scene, index),
        "change": lambda: scene_edits.change(scene, index, attribute, any_of(values[attribute])),
        "turn": lambda: scene_edits.turn(scene, index),
        "count": lambda: scene_edits.count(scene, index, int(rng.integers(1, 5))),
        "stand": lambda: scene_edits.stand(scene, index, holders[int(rng.integers(len(holders)))]),
        "place": lambda: scene_edits.set_setting(scene, "place", str(any_of(PLACES)))[0],
        "time": lambda: scene_edits.set_setting(scene, "time", str(any_of(TIMES)))[0],
        "weather": lambda: scene_edits.set_setting(scene, "weather", str(any_of(WEATHERS)))[0],
    }
    return edits[str(any_of(edits))]()


def edited_scenes(number: int, seed: int = 0) -> Iterator[tuple[Scene, Scene]]:
    """Yield the scene of the gallery that the edits started from, and each of `number` edited scenes."""
    rng = np.random.default_rng(seed)
    made = 0
    while made < number:
        start = scene = scene_of("gallery", int(rng.integers(2000)))
        for _ in range(EDITS_OF_A_SCENE):
            try:
                scene = random_edit(scene, rng)
            except SceneError:
                continue
            made += 1
            yield start, scene
