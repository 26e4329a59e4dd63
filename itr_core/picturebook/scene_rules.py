"""The rules that every scene of the world keeps, and why a scene breaks one.

Sampled scenes keep them by construction. Scenes from elsewhere, such as those that a visitor edits, are
checked, so that every thing of a picture is recognisable and belongs where it is.
"""

from collections import Counter
from typing import Any

from itr_core.errors import PairscopeError, did_you_mean
from itr_core.picturebook.ontology import KINDS, PLACES, SIZES, TIMES, WEATHERS, Kind
from itr_core.picturebook.sampling import (
    MAX_THINGS,
    RESTLESS,
    SMALLEST_HEIGHT,
    obstacle,
    reaches_out,
    seat,
    stances,
)
from itr_core.picturebook.scene import Box, Scene, Thing, box
from itr_core.picturebook.wording import WordChooser, article

MOST_ALIKE = 4
"""Most things of equal look."""
SEEDS = range(2**31)
ROUNDING = 0.0015
"""Tolerance of positions, which are rounded to 0.001."""


class SceneError(PairscopeError):
    """A scene breaks a rule of the world, or an edit would make it do so."""


def name_of(thing: Thing) -> str:
    """Return what messages call a thing: "the brown dog"."""
    stated = ["colour"] if thing.colour else []
    return f"the {WordChooser().described(KINDS[thing.kind].words[0], thing.look, stated, terse=True)}"


def sizes_of(kind: Kind) -> list[str]:
    """Return the sizes that a kind can have."""
    return [size for size in SIZES if size != "small" or kind.height > SMALLEST_HEIGHT]


def check(scene: Scene) -> None:
    """Raise SceneError with the first rule that the scene breaks."""
    check_content(scene)
    check_layout(scene)


def check_content(scene: Scene) -> None:
    """Raise SceneError with the first thing or the setting that the world does not have."""
    _check_setting(scene)
    if not 1 <= len(scene.things) <= MAX_THINGS:
        raise SceneError(f"A picture has 1 to {MAX_THINGS} things, not {len(scene.things)}.")
    for thing in scene.things:
        _check_look(thing, scene.place)
    look, number = Counter(thing.look for thing in scene.things).most_common(1)[0]
    if number > MOST_ALIKE:
        raise SceneError(f"A picture has at most {MOST_ALIKE} equal things, not {number} of {look.kind!r}.")


def check_layout(scene: Scene) -> None:
    """Raise SceneError with the first thing that is not where its kind can be, or that hides another one."""
    things = scene.things
    for index, thing in enumerate(things):
        if thing.on is not None and not (
            thing.on in range(len(things)) and thing.on != index and can_hold(things[thing.on], thing)
        ):
            raise SceneError(f"{capital(name_of(thing))} stands on something that cannot hold it.")
    boxes = [box(thing, things) for thing in things]
    for index, (thing, seen) in enumerate(zip(things, boxes, strict=True)):
        name = capital(name_of(thing))
        _check_feet(thing, scene.place)
        if thing.on is not None:
            _check_held(thing, seen, things[thing.on], boxes[thing.on])
        if seen[0] < -ROUNDING or seen[2] > 1 + ROUNDING or reaches_out(seen):
            raise SceneError(f"{name} would reach out of the picture.")
        if (other := obstacle(index, things, boxes)) is not None:
            also = "another one" if things[other].look == thing.look else name_of(things[other])
            raise SceneError(f"{name} and {also} would hide too much of each other.")


def _check_setting(scene: Scene) -> None:
    if scene.place not in PLACES:
        raise SceneError(f"There is no place {scene.place!r}.{did_you_mean(scene.place, PLACES)}")
    if scene.time not in TIMES:
        raise SceneError(f"There is no time of day {scene.time!r}.{did_you_mean(scene.time, TIMES)}")
    if scene.weather not in WEATHERS:
        raise SceneError(f"There is no weather {scene.weather!r}.{did_you_mean(scene.weather, WEATHERS)}")
    if scene.weather not in (weathers := PLACES[scene.place].weathers):
        raise SceneError(
            f"{capital(PLACES[scene.place].words[0])} the weather is never {scene.weather}. "
            f"It can be: {', '.join(weathers)}."
        )
    if scene.seed not in SEEDS:
        raise SceneError(f"The seed {scene.seed} is not between 0 and {SEEDS[-1]}.")


def _check_look(thing: Thing, place: str) -> None:
    kind = KINDS.get(thing.kind)
    if kind is None:
        raise SceneError(f"There is no kind of thing {thing.kind!r}.{did_you_mean(thing.kind, KINDS)}")
    if place not in kind.places:
        raise SceneError(
            f"{capital(PLACES[place].words[0])} there is never {article(kind.name)}. "
            f"Places with one: {', '.join(kind.places)}."
        )
    allowed: dict[str, list[Any]] = {
        "colour": [*kind.colours] or [None],
        "pattern": [*kind.patterns],
        "size": sizes_of(kind),
        "state": [*kind.states] or [None],
    }
    for field, values in allowed.items():
        if (value := getattr(thing, field)) not in values:
            known = ", ".join(str(each or "none") for each in values)
            raise SceneError(f"The {field} of {article(kind.name)} is never {value!r}. It can be: {known}.")


def bands_of(thing: Thing, place: str) -> list[tuple[float, float]]:
    """Return where the feet of a thing in its state can be at a place: (far, near) of each band."""
    found = stances(KINDS[thing.kind], PLACES[place])
    return [PLACES[place].bands[band] for state, band in found if state == thing.state]


def can_hold(holder: Thing, thing: Thing) -> bool:
    """Whether `thing` can stand on `holder`."""
    return thing.kind in KINDS[holder.kind].holds and thing.state not in RESTLESS and holder.on is None


def _check_feet(thing: Thing, place: str) -> None:
    bands = bands_of(thing, place)
    if not bands:
        doing = f"{thing.state} {thing.kind}" if thing.state else thing.kind
        raise SceneError(f"{capital(PLACES[place].words[0])} there is never {article(doing)}.")
    if thing.on is None and not any(far - ROUNDING <= thing.y <= near + ROUNDING for far, near in bands):
        raise SceneError(f"{capital(name_of(thing))} cannot be at this height of the picture.")


def _check_held(thing: Thing, seen: Box, holder: Thing, theirs: Box) -> None:
    if abs(thing.y - seat(holder, theirs)) > ROUNDING:
        raise SceneError(f"{capital(name_of(thing))} is not at the height where {name_of(holder)} holds it.")
    if seen[0] < theirs[0] - ROUNDING or seen[2] > theirs[2] + ROUNDING:
        raise SceneError(f"There is no room for {name_of(thing)} on {name_of(holder)}.")


def capital(text: str) -> str:
    """Return the text with a capital first letter."""
    return text[0].upper() + text[1:]
