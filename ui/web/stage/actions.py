"""Edits that the browser asks for: which function of the core they are, and what visitors read about them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from itr_core.picturebook import scene_edits
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.scene_rules import SceneError, capital, name_of
from itr_core.picturebook.wording import NUMBERS, article, listed, plural

FARTHEST = 100
"""A position further away than this many pictures is no position."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A scene after an edit, the edit in words, and the index of the thing that was edited."""

    scene: Scene
    words: str
    thing: int | None = None


def apply(scene: Scene, edit: Mapping[str, Any]) -> Edited:
    """Apply an edit that came from the browser and can be anything.

    Raises:
        SceneError: There is no such edit, its values have the wrong type, or it is impossible.
    """
    action = _ACTIONS.get(str(edit.get("do")))
    if action is None:
        raise SceneError(f"There is no edit {str(edit.get('do'))[:40]!r}.")
    return action(scene, edit)


def _move(scene: Scene, edit: Mapping[str, Any]) -> Edited:
    index = _whole(edit, "thing")
    moved = scene_edits.move(scene, index, _share(edit, "x"), _share(edit, "y"))
    return Edited(moved, f"Moved {_name(moved, index)}", index)


def _add(scene: Scene, edit: Mapping[str, Any]) -> Edited:
    kind = _text(edit, "kind")
    return Edited(scene_edits.add(scene, kind), f"Added {article(kind)}", len(scene.things))


def _remove(scene: Scene, edit: Mapping[str, Any]) -> Edited:
    index = _whole(edit, "thing")
    removed = scene_edits.remove(scene, index)
    return Edited(removed, f"Removed {_name(scene, index)}")


def _change(scene: Scene, edit: Mapping[str, Any]) -> Edited:
    index, attribute, value = _whole(edit, "thing"), _text(edit, "attribute"), _text(edit, "value")
    changed = scene_edits.change(scene, index, attribute, value)
    return Edited(changed, f"{capital(_name(scene, index))}: {value}", index)


def _turn(scene: Scene, edit: Mapping[str, Any]) -> Edited:
    index = _whole(edit, "thing")
    return Edited(scene_edits.turn(scene, index), f"Turned {_name(scene, index)}", index)


def _stand(scene: Scene, edit: Mapping[str, Any]) -> Edited:
    index = _whole(edit, "thing")
    on = None if edit.get("on") is None else _whole(edit, "on")
    placed = scene_edits.stand(scene, index, on)
    where = "on the ground" if on is None else f"on {_name(scene, on)}"
    return Edited(placed, f"Put {_name(scene, index)} {where}", index)


def _count(scene: Scene, edit: Mapping[str, Any]) -> Edited:
    index, number = _whole(edit, "thing"), _whole(edit, "number")
    counted = scene_edits.count(scene, index, number)
    noun = scene.things[index].kind if number == 1 else plural(scene.things[index].kind)
    words = f"{capital(NUMBERS[number])} {noun} instead of {NUMBERS[alike(scene, index)]}"
    return Edited(counted, words, counted.things.index(scene.things[index]))


def _set(scene: Scene, edit: Mapping[str, Any]) -> Edited:
    name, value = _text(edit, "name"), _text(edit, "value")
    changed, removed = scene_edits.set_setting(scene, name, value)
    words = f"{capital(name)}: {value}"
    return Edited(changed, f"{words}, without {listed(removed)}" if removed else words)


_ACTIONS: dict[str, Callable[[Scene, Mapping[str, Any]], Edited]] = {
    "move": _move,
    "add": _add,
    "remove": _remove,
    "change": _change,
    "turn": _turn,
    "stand": _stand,
    "count": _count,
    "set": _set,
}


def alike(scene: Scene, index: int) -> int:
    """Return the number of things that look like thing `index`, with it."""
    return sum(other.look == scene.things[index].look for other in scene.things)


def _name(scene: Scene, index: int) -> str:
    return name_of(scene.things[index])


def _whole(edit: Mapping[str, Any], name: str) -> int:
    value = edit.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise SceneError(f"This edit needs a whole number as {name!r}.")
    return value


def _share(edit: Mapping[str, Any], name: str) -> float:
    value = edit.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not -FARTHEST < value < FARTHEST:
        raise SceneError(f"This edit needs a number as {name!r}.")
    return min(max(float(value), 0.0), 1.0)


def _text(edit: Mapping[str, Any], name: str) -> str:
    value = edit.get(name)
    if not isinstance(value, str):
        raise SceneError(f"This edit needs a text as {name!r}.")
    return value
