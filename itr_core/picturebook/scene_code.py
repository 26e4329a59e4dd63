"""Scenes as short texts for addresses: `1.farm.sunset.snow.42_tree.green....604.720_cat.white.....375.762.f`.

Parts are joined by `_`: the first is version, place, time, weather and seed, each other one a thing. A thing
is kind, colour, pattern, size, state, x and y in thousandths, `f` if it faces left, and the number of the
thing (from 0) that it stands on. "plain" and "medium" are left out, and so are empty fields at the end.
"""

import re

from itr_core.picturebook.scene import Scene, Thing
from itr_core.picturebook.scene_rules import SceneError, check

VERSION = "1"
MOST_CHARACTERS = 600
"""Longest text that is read; that of six things has less than 500 characters."""
_FIELDS = 9
_NUMBER = re.compile(r"[0-9]{1,10}")


def encode(scene: Scene) -> str:
    """Return the text of a scene whose positions are rounded to 0.001, as those of all sampled scenes are."""
    parts = [".".join((VERSION, scene.place, scene.time, scene.weather, str(scene.seed)))]
    for thing in scene.things:
        fields = (
            thing.kind,
            thing.colour or "",
            "" if thing.pattern == "plain" else thing.pattern,
            "" if thing.size == "medium" else thing.size,
            thing.state or "",
            str(round(thing.x * 1000)),
            str(round(thing.y * 1000)),
            "f" if thing.flip else "",
            "" if thing.on is None else str(thing.on),
        )
        parts.append(".".join(fields).rstrip("."))
    return "_".join(parts)


def decode(text: str) -> Scene:
    """Return the scene of a text, which can come from anywhere.

    Raises:
        SceneError: The text is too long, of another version or damaged, or the scene breaks a rule.
    """
    if len(text) > MOST_CHARACTERS:
        raise SceneError(f"The text of a scene has at most {MOST_CHARACTERS} characters, not {len(text)}.")
    setting, *things = text.split("_")
    version, *names = setting.split(".")
    if version != VERSION:
        raise SceneError(f"The scene is of version {version[:20]!r}; this program reads version {VERSION!r}.")
    if len(names) != 4:
        raise SceneError("The text of the scene is damaged: it needs place, time, weather and seed.")
    place, time, weather, seed = names
    scene = Scene(place, time, weather, tuple(map(_thing, things)), seed=_number(seed, "seed"))
    check(scene)
    return scene


def _thing(text: str) -> Thing:
    fields = text.split(".")
    if len(fields) > _FIELDS:
        raise SceneError(f"The text of the scene is damaged: a thing has at most {_FIELDS} fields.")
    kind, colour, pattern, size, state, x, y, flip, on = fields + [""] * (_FIELDS - len(fields))
    if flip not in ("", "f"):
        raise SceneError(f"The text of the scene is damaged: the direction of a thing is {flip[:20]!r}.")
    return Thing(
        kind, colour or None, pattern or "plain", size or "medium", state or None,
        _number(x, "x") / 1000, _number(y, "y") / 1000, flip == "f", _number(on, "holder") if on else None,
    )  # fmt: skip


def _number(text: str, name: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise SceneError(f"The text of the scene is damaged: {name} is {text[:20]!r}, not a number.")
    return int(text)
