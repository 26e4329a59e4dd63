"""What a picture shows, one caption per fact, and the captions that differ from each in one fact."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from itr_core.picturebook.caption_builder import Caption
from itr_core.picturebook.captions import canonical_caption
from itr_core.picturebook.ontology import KINDS, PLACES, RELATIONS, TIMES
from itr_core.picturebook.scene import Look, Scene
from itr_core.picturebook.scene_rules import MOST_ALIKE
from itr_core.picturebook.semantics import Meaning, Relation, SceneFacts, Variable

MOST_RELATIONS = 2
_ORDER = ("on", "in front of", "behind", "above", "left of", "right of", "next to")
"""Relations that are stated, the most telling first; "below" says the same as "above"."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A true caption, and groups of false ones: those of a group differ from it in the same fact."""

    caption: Caption
    contrasts: tuple[tuple[Caption, ...], ...]


def statements(scene: Scene) -> list[Statement]:
    """Return one statement on the setting, one on each group of equal things and up to two on relations."""
    facts = SceneFacts(scene)
    groups: dict[Look, int] = {}
    for i, thing in enumerate(scene.things):
        groups[thing.look] = groups.get(thing.look, 0) | 1 << i
    found = [_statement(facts, _setting(scene), _other_settings(scene))]
    for look, mask in groups.items():
        meaning = Meaning((_variable(facts, look, mask),))
        found.append(_statement(facts, meaning, _other_things(meaning)))
    for meaning in _relations(facts, groups):
        found.append(_statement(facts, meaning, _other_relations(meaning)))
    return found


def _statement(facts: SceneFacts, meaning: Meaning, changes: Iterator[Iterator[Meaning]]) -> Statement:
    false = (tuple(_worded(each) for each in group if not facts.entail(each)) for group in changes)
    return Statement(_worded(meaning), tuple(group for group in false if group))


def _worded(meaning: Meaning) -> Caption:
    return Caption(canonical_caption(meaning), meaning)


def _setting(scene: Scene) -> Meaning:
    return Meaning(place=scene.place, time=scene.time, weather=scene.weather)


def _other_settings(scene: Scene) -> Iterator[Iterator[Meaning]]:
    here = _setting(scene)
    yield (replace(here, place=place) for place in PLACES if scene.weather in PLACES[place].weathers)
    yield (replace(here, time=time) for time in TIMES)
    yield (replace(here, weather=weather) for weather in PLACES[scene.place].weathers)


def _variable(facts: SceneFacts, look: Look, mask: int) -> Variable:
    """Describe a group of equal things with its number, or, if other things match too, one of them."""
    kind, number = KINDS[look.kind], mask.bit_count()
    variable = Variable(
        look.kind,
        colour=look.colour,
        pattern=None if look.pattern == "plain" else look.pattern,
        size=None if look.size == "medium" else look.size,
        state=look.state if len(kind.states) > 1 else None,
    )
    if number > 1 and facts.matching(variable) == mask:
        return replace(variable, least=number, most=number)
    return variable


def _other_things(meaning: Meaning) -> Iterator[Iterator[Meaning]]:
    (thing,) = meaning.things
    kind = KINDS[thing.term]

    def having(**changes: object) -> Meaning:
        return Meaning((replace(thing, **changes),))  # type: ignore[arg-type]  # values of the same fields

    numbers = (number for number in range(1, MOST_ALIKE + 1) if number != thing.least)
    yield (having(least=number, most=None if number == 1 else number) for number in numbers)
    if thing.colour:
        yield (having(colour=colour) for colour in kind.colours)
    if thing.state:
        yield (having(state=state) for state in kind.states)
    if thing.pattern:
        yield (having(pattern=pattern) for pattern in kind.patterns if pattern != "plain")
    if thing.size:
        yield (having(size=size) for size in ("small", "big"))


def _relations(facts: SceneFacts, groups: dict[Look, int]) -> Iterator[Meaning]:
    """Yield meanings of two things in one relation, that of all pairs which comes first in `_ORDER`."""
    found: list[tuple[int, Meaning]] = []
    for (a, mask_a), (b, mask_b) in combinations(groups.items(), 2):
        for rank, name in enumerate(_ORDER):
            for one, other, masks in ((a, b, (mask_a, mask_b)), (b, a, (mask_b, mask_a))):
                if facts.related(name, *masks):
                    found.append((rank, Meaning(_pair(one, other), (Relation(name, 0, 1),))))
    seen: set[frozenset[Variable]] = set()
    for _, meaning in sorted(found, key=lambda each: each[0]):
        pair = frozenset(meaning.things)
        if pair not in seen and len(seen) < MOST_RELATIONS and facts.entail(meaning):
            seen.add(pair)
            yield meaning


def _pair(a: Look, b: Look) -> tuple[Variable, Variable]:
    coloured = a.kind == b.kind
    return (
        Variable(a.kind, colour=a.colour if coloured else None),
        Variable(b.kind, colour=b.colour if coloured else None),
    )


def _other_relations(meaning: Meaning) -> Iterator[Iterator[Meaning]]:
    (relation,) = meaning.relations
    names = [name for name in RELATIONS if name != "on" or relation.name == "on"]
    turned = replace(meaning, relations=(Relation(relation.name, 1, 0),))
    yield iter([turned, *(replace(meaning, relations=(Relation(name, 0, 1),)) for name in names)])
