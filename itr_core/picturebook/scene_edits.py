"""Edits of a scene: each returns another scene that keeps the rules, or says why there is none.

A thing that no longer fits where it is, because it is larger or the place is another one, moves to the
nearest free position. Things that stand on another thing move with it.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any

from itr_core.picturebook.ontology import KINDS, PLACES
from itr_core.picturebook.sampling import HIGHEST, LOWEST, MAX_THINGS, seat, stances
from itr_core.picturebook.scene import Scene, Thing, box
from itr_core.picturebook.scene_rules import (
    MOST_ALIKE,
    SceneError,
    bands_of,
    can_hold,
    capital,
    check,
    check_content,
    check_layout,
    name_of,
)
from itr_core.picturebook.semantics import ATTRIBUTES, SETTING
from itr_core.picturebook.wording import article

REACH_OF_SEAT = 0.05
"""A thing that is moved this close to the height of a seat stands on it."""
_COLUMNS, _ROWS = 25, 9


def move(scene: Scene, index: int, x: float, y: float) -> Scene:
    """Move a thing to (x, y), or to the nearest height where its kind can be, inside the picture.

    Near the seat of another thing that can hold it, it stands on that.

    Raises:
        SceneError: It would hide too much of another thing, or be hidden.
    """
    thing = _thing(scene, index)
    things = list(scene.things)
    holder = _holder_at(scene, index, x, y)
    if holder is not None:
        things[index] = replace(thing, x=_rounded(x), on=holder)
    else:
        things[index] = _inside(replace(thing, x=x, y=y, on=None), scene.place)
    return _checked(replace(scene, things=_carried(things, scene.things)))


def add(scene: Scene, kind: str) -> Scene:
    """Add a thing of a kind, with its most frequent look, at the free position nearest to the middle.

    Raises:
        SceneError: The picture is full, or the kind does not occur at the place.
    """
    _check_room(scene, 1)
    known, place = KINDS.get(kind), PLACES[scene.place]
    if known is None or scene.place not in known.places:
        raise SceneError(f"{capital(place.words[0])} there is never {article(kind[:40])}.")
    (state, _), _ = max(stances(known, place).items(), key=_weight)
    colour = max(known.colours.items(), key=_weight)[0] if known.colours else None
    thing = Thing(kind, colour, "plain", "medium", state, 0.5, 0.8)
    return _settled(replace(scene, things=(*scene.things, thing)), len(scene.things))


def remove(scene: Scene, index: int) -> Scene:
    """Remove a thing; what stands on it moves to the nearest free position.

    Raises:
        SceneError: It is the only thing, or what stands on it fits nowhere else.
    """
    _thing(scene, index)
    if len(scene.things) == 1:
        raise SceneError("A picture needs at least one thing. Add another one first.")
    falling = [thing for thing in scene.things if thing.on == index]
    kept = [i for i, thing in enumerate(scene.things) if index not in (i, thing.on)]
    things = [scene.things[i] for i in kept]
    scene = replace(
        scene,
        things=tuple(t if t.on is None else replace(t, on=kept.index(t.on)) for t in things),
    )
    for thing in falling:
        scene = _with_new(scene, replace(thing, on=None))
    return scene


def change(scene: Scene, index: int, attribute: str, value: str | None) -> Scene:
    """Give a thing another colour, pattern, size or state.

    Raises:
        SceneError: Its kind never has this value, or it would not fit anywhere.
    """
    _thing(scene, index)
    if attribute not in ATTRIBUTES:
        raise SceneError(f"A thing has no {attribute!r}; it has {', '.join(ATTRIBUTES)}.")
    things = list(scene.things)
    changes: dict[str, Any] = {attribute: value}
    things[index] = replace(things[index], **changes)
    return _settled(replace(scene, things=_carried(things, scene.things)), index)


def turn(scene: Scene, index: int) -> Scene:
    """Let a thing face the other way."""
    things = list(scene.things)
    things[index] = replace(_thing(scene, index), flip=not things[index].flip)
    return replace(scene, things=tuple(things))


def stand(scene: Scene, index: int, on: int | None) -> Scene:
    """Let a thing stand on another one, or on the ground if `on` is None.

    Raises:
        SceneError: The other thing cannot hold it or has no room, or there is none on the ground.
    """
    thing = _thing(scene, index)
    things = list(scene.things)
    if on is None:
        things[index] = replace(thing, on=None)
        return _settled(replace(scene, things=tuple(things)), index)
    holder = _thing(scene, on)
    if on == index or not can_hold(holder, thing):
        raise SceneError(f"{capital(name_of(holder))} cannot hold {name_of(thing)}.")
    left, _, right, _ = box(holder, things)
    columns = [left + (right - left) * i / _COLUMNS for i in range(_COLUMNS)]
    for x in sorted(columns, key=lambda column: abs(column - thing.x)):
        things[index] = replace(thing, x=_rounded(x), on=on)
        with suppress(SceneError):
            return _checked(replace(scene, things=_carried(things, scene.things)))
    raise SceneError(f"There is no room for {name_of(thing)} on {name_of(holder)}.")


def count(scene: Scene, index: int, number: int) -> Scene:
    """Change how many things look exactly like thing `index`, by adding some near it or removing the others.

    Raises:
        SceneError: The number is not between 1 and 4, the picture is full, or there is no free position.
    """
    thing = _thing(scene, index)
    if number not in range(1, MOST_ALIKE + 1):
        raise SceneError(f"There can be 1 to {MOST_ALIKE} equal things, not {number}.")
    others = [i for i, other in enumerate(scene.things) if other.look == thing.look and i != index]
    more = number - 1 - len(others)
    _check_room(scene, more)
    for i in sorted(others, reverse=True)[: max(0, -more)]:
        scene = remove(scene, i)
    for _ in range(more):
        scene = _with_new(scene, replace(thing, on=None))
    return scene


def set_setting(scene: Scene, name: str, value: str) -> tuple[Scene, list[str]]:
    """Change the place, the time or the weather.

    At another place, things that never occur there are removed, the others move to the nearest free
    position, and the weather changes if it never occurs there. If nothing is left, a usual thing is added.

    Returns:
        The scene, and the names of the removed things ("the red tractor").

    Raises:
        SceneError: The value does not exist, or the weather never occurs at the place.
    """
    if name not in SETTING:
        raise SceneError(f"A scene has no {name!r}; it has {', '.join(SETTING)}.")
    changes: dict[str, Any] = {name: value}
    scene = replace(scene, **changes)
    if name != "place" or value not in PLACES:
        check(scene)
        return scene, []
    weathers = PLACES[value].weathers
    if scene.weather not in weathers:
        scene = replace(scene, weather=max(weathers, key=lambda weather: weathers[weather]))
    kept, removed = _kept(scene)
    if not kept.things:
        usual = {
            kind.name: kind.weight * kind.places[value] for kind in KINDS.values() if value in kind.places
        }
        kept = add(kept, max(usual.items(), key=_weight)[0])
    return kept, removed


def _kept(scene: Scene) -> tuple[Scene, list[str]]:
    """Place the things again, one after the other; leave out those that cannot be at the place."""
    kept, removed = replace(scene, things=()), []
    new_index: dict[int | None, int] = {}
    for i, thing in sorted(enumerate(scene.things), key=lambda each: each[1].on is not None):
        states = [state for state, _ in stances(KINDS[thing.kind], PLACES[scene.place])]
        # Such as a duck that swims, where there is no water.
        state = thing.state if thing.state in states or not states else states[0]
        try:
            kept = _with_new(kept, replace(thing, state=state, on=new_index.get(thing.on)))
            new_index[i] = len(kept.things) - 1
        except SceneError:
            removed.append(name_of(thing))
    return kept, removed


# ---- positions


def _with_new(scene: Scene, thing: Thing) -> Scene:
    return _settled(replace(scene, things=(*scene.things, thing)), len(scene.things))


def _settled(scene: Scene, index: int) -> Scene:
    """Return the scene with thing `index` where it is if that is free, else at the nearest free position."""
    check_content(scene)
    thing = scene.things[index]
    problem: SceneError | None = None
    for spot in (thing, *_spots(thing, scene.place)):
        things = [*scene.things[:index], spot, *scene.things[index + 1 :]]
        moved = replace(scene, things=_carried(things, scene.things))
        try:
            check_layout(moved)
        except SceneError as error:
            problem = problem or error
        else:
            return moved
    if not bands_of(thing, scene.place) and problem:
        raise problem
    raise SceneError(f"There is no free position for {name_of(thing)}.") from problem


def _spots(thing: Thing, place: str) -> Iterator[Thing]:
    """Yield the thing at positions all over its bands, the nearest first."""
    free = replace(thing, on=None)
    columns = [i / (_COLUMNS - 1) for i in range(_COLUMNS)]
    rows = [
        far + (near - far) * i / (_ROWS - 1) for far, near in bands_of(thing, place) for i in range(_ROWS)
    ]
    at = sorted(product(columns, rows), key=lambda xy: (xy[0] - thing.x) ** 2 + (xy[1] - thing.y) ** 2)
    return (_inside(replace(free, x=x, y=y), place) for x, y in at)


def _inside(thing: Thing, place: str) -> Thing:
    """Move a thing to the nearest height where its kind can be, and inside the picture."""
    if heights := [min(max(thing.y, far), near) for far, near in bands_of(thing, place)]:
        thing = replace(thing, y=min(heights, key=lambda height: abs(height - thing.y)))
    left, top, right, bottom = box(thing)
    down = max(0.0, HIGHEST + 0.001 - top) - max(0.0, bottom - LOWEST + 0.001)
    half = (right - left) / 2
    return replace(thing, x=_rounded(min(max(thing.x, half), 1 - half)), y=_rounded(thing.y + down))


def _carried(things: Sequence[Thing], before: Sequence[Thing]) -> tuple[Thing, ...]:
    """Return the things, with each one on another moved to its seat and by as much as its holder has moved.

    Args:
        things: All things.
        before: The same things, with the holders where they were.
    """
    carried = list(things)
    for i, thing in enumerate(things):
        if thing.on is not None:
            holder = things[thing.on]
            seen = box(holder, things)
            left, _, right, _ = box(thing, things)
            half = (right - left) / 2
            x = thing.x + holder.x - before[thing.on].x
            x = max(min(x, seen[2] - half), seen[0] + half)
            carried[i] = replace(thing, x=_rounded(x), y=_rounded(seat(holder, seen)))
    return tuple(carried)


def _holder_at(scene: Scene, index: int, x: float, y: float) -> int | None:
    """Return the thing on which thing `index` stands at (x, y); None for the ground, water or sky."""
    for i, holder in enumerate(scene.things):
        if i != index and can_hold(holder, scene.things[index]):
            seen = box(holder, scene.things)
            if seen[0] <= x <= seen[2] and abs(y - seat(holder, seen)) <= REACH_OF_SEAT:
                return i
    return None


def _rounded(share: float) -> float:
    return round(share, 3)


def _weight(pair: tuple[object, float]) -> float:
    return pair[1]


def _checked(scene: Scene) -> Scene:
    check(scene)
    return scene


def _thing(scene: Scene, index: int) -> Thing:
    if index not in range(len(scene.things)):
        raise SceneError(f"There is no thing {index} in this picture.")
    return scene.things[index]


def _check_room(scene: Scene, more: int) -> None:
    if len(scene.things) + more > MAX_THINGS:
        raise SceneError(f"A picture has at most {MAX_THINGS} things. Remove one first.")
