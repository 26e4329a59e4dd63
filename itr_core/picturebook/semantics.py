"""Semantics of captions: what a caption states, whether it is true of a scene, and how much of it it states.

A meaning has variables ("a brown dog", "two boats"), relations between them, and the place, time and
weather. It is true of a scene if one binding of its variables to things makes every stated fact true;
distinct variables bind distinct things. A variable without a number ("a dog") binds one thing of that
description; there may be more. A variable with a number ("two dogs", "one dog", "dogs", "no dogs") binds
*all* things of that description, and their number must match: "two dogs" is false if there are three.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from itr_core.picturebook.ontology import KINDS, RELATIONS
from itr_core.picturebook.scene import Scene, box, nearness

CONVERSE = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "in front of": "behind",
    "behind": "in front of",
    "next to": "next to",
}

ATTRIBUTES = ("colour", "pattern", "size", "state")
"""Fields of `Variable` for what is stated of things besides their term and number."""
SETTING = ("place", "time", "weather")
"""Fields of `Meaning` for what is stated of the scene as a whole."""


@dataclass(frozen=True, slots=True)
class Variable:
    """Things with the stated attributes (None: not stated), between `least` and `most` in number."""

    term: str
    colour: str | None = None
    pattern: str | None = None
    size: str | None = None
    state: str | None = None
    least: int = 1
    most: int | None = None

    @property
    def binds_all(self) -> bool:
        """Whether it binds all things of its description."""
        return self.most is not None or self.least > 1

    def allows(self, count: int) -> bool:
        """Return whether `count` things of the description are as many as the variable states."""
        return self.least <= count and (self.most is None or count <= self.most)


@dataclass(frozen=True, slots=True)
class Relation:
    """All things bound to variable `a` are in relation `name` to all things bound to variable `b`."""

    name: str
    a: int
    b: int


@dataclass(frozen=True, slots=True)
class Meaning:
    """A set of stated facts; None or absent means not stated."""

    things: tuple[Variable, ...] = ()
    relations: tuple[Relation, ...] = ()
    place: str | None = None
    time: str | None = None
    weather: str | None = None

    def fact_count(self) -> float:
        """Number of stated facts; a hypernym and a plural without a number count one half."""
        facts = sum(value is not None for value in (self.place, self.time, self.weather))
        return facts + min(len(self.relations), len(self.things) - 1) + sum(map(_fact_count, self.things))


def _fact_count(variable: Variable) -> float:
    kind = KINDS.get(variable.term)
    facts = 0.5 if kind is None else 1.0
    facts += sum(value is not None for value in (variable.colour, variable.pattern, variable.size))
    if variable.state is not None and (kind is None or len(kind.states) > 1):
        facts += 1.0
    if variable.least > 1:
        facts += 0.5 if variable.most is None else 1.0
    return facts


def statable_facts(scene: Scene) -> int:
    """Number of facts that a caption can state of the scene.

    For each group of things of equal look: kind, number (if above one), colour, pattern (if any), size
    (unless medium) and state (if its kind has several). For the scene: relations between groups (one less
    than groups), place, time and weather.
    """
    looks = Counter(thing.look for thing in scene.things)
    facts = 3 + len(looks) - 1
    for look, number in looks.items():
        facts += 1 + (number > 1) + (look.colour is not None) + (look.pattern != "plain")
        facts += (look.size != "medium") + (len(KINDS[look.kind].states) > 1)
    return facts


class SceneFacts:
    """The facts of one scene as bit masks (bit i for thing i), to evaluate many meanings."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.relations = _relations(scene)

    def matching(self, variable: Variable) -> int:
        """Return the things that match the description, as a mask."""
        mask = 0
        for i, thing in enumerate(self.scene.things):
            if (
                variable.term in KINDS[thing.kind].is_a
                and (variable.colour is None or variable.colour == thing.colour)
                and (variable.pattern is None or variable.pattern == thing.pattern)
                and (variable.size is None or variable.size == thing.size)
                and (variable.state is None or variable.state == thing.state)
            ):
                mask |= 1 << i
        return mask

    def related(self, name: str, a: int, b: int) -> bool:
        """Whether all things of mask `a` are in relation `name` to all things of mask `b`."""
        rows = self.relations[name]
        return all(not b & ~rows[i] for i in _bits(a))

    def entail(self, meaning: Meaning) -> bool:
        """Whether the meaning is true of the scene."""
        scene = self.scene
        if any(
            stated is not None and stated != fact
            for stated, fact in (
                (meaning.place, scene.place), (meaning.time, scene.time), (meaning.weather, scene.weather),
            )
        ):  # fmt: skip
            return False
        choices = []
        for variable in meaning.things:
            mask = self.matching(variable)
            if not variable.allows(mask.bit_count()):
                return False
            choices.append([mask] if variable.binds_all else [1 << i for i in _bits(mask)])
        return self._binds(meaning.relations, choices, ())

    def _binds(
        self, relations: tuple[Relation, ...], choices: list[list[int]], bound: tuple[int, ...]
    ) -> bool:
        """Whether the unbound variables can be bound consistently with the relations and with `bound`."""
        new = len(bound)
        if new == len(choices):
            return True
        for mask in choices[new]:
            if any(mask & other for other in bound):
                continue
            now = (*bound, mask)
            if all(
                self.related(r.name, now[r.a], now[r.b]) for r in relations if max(r.a, r.b) == new
            ) and self._binds(relations, choices, now):
                return True
        return False


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _relations(scene: Scene) -> dict[str, list[int]]:
    """Map each relation to masks: for thing i, the things j for which "i <relation> j" is true.

    left of, right of: centres at least 0.08 apart. above, below: one is in the sky, clear of the other's box.
    in front of, behind: both on the ground, feet at least 0.04 nearer, and boxes that overlap in x.
    next to: both in the sky or neither, feet within 0.09, a gap of at most 0.12, hardly any overlap.
    on: one stands on the other; for other things, such a thing has only the relations left of and right of.
    """
    things = scene.things
    rows: dict[str, list[int]] = {name: [0] * len(things) for name in RELATIONS}
    boxes = [box(thing, things) for thing in things]
    for i, (a, seen) in enumerate(zip(things, boxes, strict=True)):
        if a.on is not None:
            rows["on"][i] |= 1 << a.on
        for j, b in enumerate(things):
            if j in (i, a.on) or b.on == i:
                continue
            if a.x + 0.08 <= b.x:
                rows["left of"][i] |= 1 << j
                rows["right of"][j] |= 1 << i
            if a.on is not None or b.on is not None:
                continue
            gap = max(seen[0], boxes[j][0]) - min(seen[2], boxes[j][2])
            if a.in_sky and seen[3] <= boxes[j][1]:
                rows["above"][i] |= 1 << j
                rows["below"][j] |= 1 << i
            if (
                not a.in_sky
                and not b.in_sky
                and gap < 0
                and nearness(a, things) >= nearness(b, things) + 0.04
            ):
                rows["in front of"][i] |= 1 << j
                rows["behind"][j] |= 1 << i
            if a.in_sky == b.in_sky and abs(a.y - b.y) <= 0.09 and -0.02 <= gap <= 0.12:
                rows["next to"][i] |= 1 << j
    return rows


def entails(scene: Scene, meaning: Meaning) -> bool:
    """Whether all stated facts are true of the scene under one binding of the variables."""
    return SceneFacts(scene).entail(meaning)


def grade(scene: Scene, meaning: Meaning) -> float:
    """Fraction of the facts of the scene that the meaning states, in [0, 1]; 0 if it is not true."""
    return min(1.0, meaning.fact_count() / statable_facts(scene)) if entails(scene, meaning) else 0.0
