"""Random scenes: plausible combinations, long-tailed, arranged so that all things are recognisable."""

from bisect import bisect
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from itr_core.picturebook.ontology import KINDS, PLACES, SIZES, TIMES, Kind, Place
from itr_core.picturebook.scene import HORIZON, Box, Look, Scene, Thing, box, nearness

MAX_THINGS = 6
SMALLEST_HEIGHT = 0.12
"""Kinds up to this height are never small: a small apple would be a few pixels high."""
T = TypeVar("T", bound=Hashable)


class Group(NamedTuple):
    """`number` things of equal look, close together in one band of the place."""

    look: Look
    number: int
    band: str


class Content(NamedTuple):
    """The content of a scene, without positions."""

    place: str
    time: str
    weather: str
    groups: tuple[Group, ...]


def sample_scene(rng: np.random.Generator, accept: Callable[[Content], bool] = lambda content: True) -> Scene:
    """Draw a scene of 1 to 6 things in 1 to 5 groups.

    `accept` receives the content before it is arranged; if it returns False, another one is drawn.
    """
    while True:
        content = _content(rng)
        if accept(content):
            for _ in range(4):
                things = _arrange(rng, PLACES[content.place], content.groups)
                if things:
                    return Scene(*content[:3], things, seed=int(rng.integers(2**31)))


# ---- content


class _WeightedChoice(Generic[T]):
    """Draws names with given weights, faster than `Generator.choice`."""

    def __init__(self, weights: Mapping[T, float]) -> None:
        self.names = list(weights)
        self.sums = list(accumulate(weights.values()))

    def draw(self, rng: np.random.Generator) -> T:
        return self.names[bisect(self.sums, rng.random() * self.sums[-1])]


_STATE_BAND = {"flying": "sky", "swimming": "water", "jumping": "water"}


def stances(kind: Kind, place: Place) -> dict[tuple[str | None, str], float]:
    """Return every (state, band) of `kind` at `place` with its weight."""
    taken = {_STATE_BAND.get(state) for state in kind.states}
    found: dict[tuple[str | None, str], float] = {}
    states: dict[str | None, float] = dict(kind.states.items()) or {None: 1.0}
    for state, weight in states.items():
        own = _STATE_BAND.get(state or "")
        bands = [b for b in kind.bands if b in place.bands and (b == own if own else b not in taken)]
        found |= {(state, band): weight / len(bands) for band in bands}
    return found


_PLACE = _WeightedChoice({name: place.weight for name, place in PLACES.items()})
_TIME = _WeightedChoice({name: time["weight"] for name, time in TIMES.items()})
_WEATHER = {name: _WeightedChoice(place.weathers) for name, place in PLACES.items()}
_STANCE = {
    (place.name, kind.name): _WeightedChoice(stances(kind, place))
    for place in PLACES.values()
    for kind in KINDS.values()
    if place.name in kind.places
}
_KIND = {
    place: _WeightedChoice(
        {
            k.name: k.weight * k.places[place] / sum(k.places.values())
            for k in KINDS.values()
            if place in k.places
        }
    )
    for place in PLACES
}
_HELD = {
    (place, kind.name): _WeightedChoice(held)
    for place in PLACES
    for kind in KINDS.values()
    if place in kind.places
    and (held := {name: KINDS[name].weight for name in kind.holds if place in KINDS[name].places})
}
_COLOUR = {name: _WeightedChoice(kind.colours) for name, kind in KINDS.items() if kind.colours}
_PATTERN = {name: _WeightedChoice(kind.patterns) for name, kind in KINDS.items()}
_SIZE = _WeightedChoice({"small": 0.2, "medium": 0.6, "big": 0.2})
_SIZE_OF_SMALL_KINDS = _WeightedChoice({"medium": 0.8, "big": 0.2})
_GROUPS = _WeightedChoice({1: 0.1, 2: 0.32, 3: 0.32, 4: 0.18, 5: 0.08})
_COUNT = _WeightedChoice({2: 0.55, 3: 0.3, 4: 0.15})


def _content(rng: np.random.Generator) -> Content:
    place = _PLACE.draw(rng)
    groups: list[Group] = []
    wanted, room = _GROUPS.draw(rng), MAX_THINGS
    kinds = _KIND[place]
    while len(groups) < wanted and room:
        kind = KINDS[kinds.draw(rng)]
        state, band = _STANCE[place, kind.name].draw(rng)
        colour = _COLOUR[kind.name].draw(rng) if kind.colours else None
        size = (_SIZE if kind.height > SMALLEST_HEIGHT else _SIZE_OF_SMALL_KINDS).draw(rng)
        look = Look(kind.name, colour, _PATTERN[kind.name].draw(rng), size, state)
        count = min(_COUNT.draw(rng), room) if rng.random() < kind.herd else 1
        # Groups of one kind differ in colour, so that "two brown dogs" cannot be part of a group of three.
        kinds = _KIND[place]
        if all(colour != g.look.colour or not _related_kinds(kind, KINDS[g.look.kind]) for g in groups):
            groups.append(Group(look, count, band))
            room -= count
            if rng.random() < 0.6:
                kinds = _HELD.get((place, kind.name), kinds)
    return Content(place, _TIME.draw(rng), _WEATHER[place].draw(rng), sorted_groups(groups))


def sorted_groups(groups: Iterable[Group]) -> tuple[Group, ...]:
    """Return the groups of a content in the order in which they are placed."""
    return tuple(sorted(groups, key=_placing_order))


def _related_kinds(a: Kind, b: Kind) -> bool:
    return a.name in b.is_a or b.name in a.is_a


def _placing_order(group: Group) -> tuple[bool, float, Look]:
    kind = KINDS[group.look.kind]
    return (
        not kind.holds,
        -kind.height * SIZES[group.look.size],
        group.look._replace(colour=group.look.colour or ""),
    )


# ---- arrangement

HIGHEST, LOWEST = 0.01, 0.985
"""Where the boxes of things begin and end, as fractions of the height from the top."""

RESTLESS = {"running", "walking"}
"""States of things that stand on no other thing."""


def _arrange(rng: np.random.Generator, place: Place, groups: Sequence[Group]) -> tuple[Thing, ...] | None:
    """Find a position for every thing where it is recognisable; None if that fails."""
    things: list[Thing] = []
    boxes: list[Box] = []
    for look, count, band in groups:
        holders = [i for i, thing in enumerate(things) if look.kind in KINDS[thing.kind].holds]
        holder = holders[0] if holders and look.state not in RESTLESS and rng.random() < 0.9 else None
        first = len(things)
        for _ in range(count):
            for _attempt in range(16):
                flip = rng.random() < 0.5
                if holder is None:
                    y = _feet(rng, look, place.bands[band], things[first:])
                    left, right = 0.0, 1.0
                else:
                    left, _, right, _ = boxes[holder]
                    y = seat(things[holder], boxes[holder])
                reach = box(Thing(*look, 0.0, y, flip, holder), things)[2]
                left, right = left + reach, right - reach
                if things[first:]:
                    near = 1.6 * count * reach
                    left, right = max(left, things[first].x - near), min(right, things[first].x + near)
                if left > right:
                    continue
                x = left + (right - left) * rng.random()
                thing = Thing(*look, round(x, 3), round(y, 3), flip, holder)
                seen = box(thing, things)
                if _fits(thing, seen, things, boxes):
                    things.append(thing)
                    boxes.append(seen)
                    break
            else:
                return None
    return tuple(things)


def seat(holder: Thing, seen: Box) -> float:
    """Return the height (y) of things that stand on `holder`, whose box is `seen`."""
    _, top, _, bottom = seen
    return bottom - KINDS[holder.kind].seat * (bottom - top)


def _feet(rng: np.random.Generator, look: Look, band: tuple[float, float], herd: Sequence[Thing]) -> float:
    """Draw the feet of a thing in its band: herds stay together, tall things far, small things near."""
    far, near = band
    if herd:
        return min(max(herd[0].y + 0.12 * (rng.random() - 0.5), far), near)
    share, height = rng.random(), KINDS[look.kind].height
    if far > HORIZON:
        share = 0.5 * share if height > 0.4 else 0.35 + 0.65 * share if height < 0.17 else share
    return far + (near - far) * share


def _fits(thing: Thing, seen: Box, things: Sequence[Thing], boxes: Sequence[Box]) -> bool:
    return not reaches_out(seen) and obstacle(len(things), [*things, thing], [*boxes, seen]) is None


def reaches_out(seen: Box) -> bool:
    """Whether a box comes too close to the top or the bottom of the image."""
    return seen[1] < HIGHEST or seen[3] > LOWEST


def obstacle(index: int, things: Sequence[Thing], boxes: Sequence[Box]) -> int | None:
    """Return an earlier thing that overlaps with thing `index` so much that one of them is hard to recognise.

    At most a quarter of a thing may be covered; nothing at all if both are at the same depth, where it would
    be unclear which of the two is in front.

    Args:
        index: The thing.
        things: All things.
        boxes: Their boxes, see `box`.

    Returns:
        The index of the earlier thing; None if there is none.
    """
    thing, (left, top, right, bottom) = things[index], boxes[index]
    order = nearness(thing, things)
    for earlier, (other, theirs) in enumerate(zip(things[:index], boxes[:index], strict=True)):
        wide = min(right, theirs[2]) - max(left, theirs[0])
        high = min(bottom, theirs[3]) - max(top, theirs[1])
        if wide <= 0 or high <= 0 or thing.on == earlier or other.on == index:
            continue
        step = order - nearness(other, things)
        behind = theirs if step > 0 else boxes[index]
        beside = thing.on is not None and thing.on == other.on
        limit = 0.1 if beside else 0.0 if abs(step) < 0.03 else 0.25
        if wide * high > limit * (behind[2] - behind[0]) * (behind[3] - behind[1]):
            return earlier
    return None
