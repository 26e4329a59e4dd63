"""Controlled edits of a caption with known truth: the asymmetry types of AsCL (arXiv:2405.10029) with labels.

An edit changes one fact of a meaning and keeps the rest. Both meanings get their fixed wording, so that the
two texts differ only by the edit. After `drop detail` (less content) and `add true detail` (more content)
the caption is still true; after all other edits it is false.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np

from itr_core.picturebook.caption_builder import Caption
from itr_core.picturebook.captions import canonical_caption, captions_of
from itr_core.picturebook.ontology import COLOURS, KINDS, PLACES, RELATIONS, SIZES, TIMES
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import ATTRIBUTES, Meaning, Relation, SceneFacts, Variable
from itr_core.picturebook.wording import MASS, WordChooser


@dataclass(frozen=True, slots=True)
class Edit:
    """The name of the edit ("swap object"), the true caption before it, and the caption after it.

    `true` says whether the caption after it is true.
    """

    name: str
    before: Caption
    after: Caption
    true: bool


def edits_of(scene: Scene, rng: np.random.Generator, meaning: Meaning | None = None) -> list[Edit]:
    """Return one edit of each type that applies to `meaning`, by default a part of the full caption.

    Raises:
        ValueError: the meaning is not true of the scene.
    """
    facts, chooser = SceneFacts(scene), WordChooser(rng)
    meaning = meaning or _part(facts, captions_of(scene)[-1].meaning, chooser)
    if not facts.entail(meaning):
        raise ValueError(
            f"Edits with known truth need a true caption; {canonical_caption(meaning)!r} is false."
        )
    before = Caption(canonical_caption(meaning), meaning)
    edits = []
    for name, (change, true) in EDITS.items():
        groups = [list(group) for group in change(meaning, scene)]
        candidates = (each for group in chooser.shuffled(groups) for each in chooser.shuffled(group))
        after = next((each for each in candidates if each != meaning and facts.entail(each) == true), None)
        if after:
            edits.append(Edit(name, before, Caption(canonical_caption(after), after), true))
    return edits


def _part(facts: SceneFacts, full: Meaning, chooser: WordChooser) -> Meaning:
    """Return one or two things of a full meaning, with some details of each and of the setting."""
    keep: tuple[int, ...] = (0,)
    if full.relations and chooser.chance(0.7):
        relation = chooser.pick(full.relations)
        keep = (relation.a, relation.b)
    meaning = full
    for index in reversed(range(len(full.things))):
        if index not in keep:
            meaning = _without(meaning, index)
    for _ in range(3):
        details = [each for group in _drop_detail(meaning, facts.scene) for each in group]
        less = chooser.pick(details or [meaning])
        if facts.entail(less) and len(less.things) == len(meaning.things):
            meaning = less
    return meaning


# ---- changes of a meaning; the caller checks whether they are true

Changes = Iterator[Iterator[Meaning]]
"""Groups of changed meanings; one of each group is tried first."""


def _with(meaning: Meaning, index: int, **changes: Any) -> Meaning:
    things = list(meaning.things)
    things[index] = replace(things[index], **changes)
    return replace(meaning, things=tuple(things))


def _setting(meaning: Meaning, name: str, value: str | None) -> Meaning:
    changes: dict[str, Any] = {name: value}
    return replace(meaning, **changes)


def _without(meaning: Meaning, index: int) -> Meaning:
    """Remove variable `index` and all its relations."""
    relations = (
        Relation(r.name, r.a - (r.a > index), r.b - (r.b > index))
        for r in meaning.relations
        if index not in (r.a, r.b)
    )
    return replace(
        meaning, things=meaning.things[:index] + meaning.things[index + 1 :], relations=tuple(relations)
    )


def _values(variable: Variable, field: str) -> list[str]:
    """Return the values that the variable can have."""
    kind = KINDS.get(variable.term)
    values = {
        "colour": kind.colours if kind else COLOURS,
        "pattern": kind.patterns if kind else (),
        "size": SIZES,
        "state": kind.states if kind and len(kind.states) > 1 else (),
    }[field]
    return [value for value in values if value not in ("plain", "medium")]


def _swap_attribute(meaning: Meaning, scene: Scene) -> Changes:
    for i, variable in enumerate(meaning.things):
        for field in ATTRIBUTES:
            if getattr(variable, field) is not None:
                yield (_with(meaning, i, **{field: value}) for value in _values(variable, field))
    for i, j in permutations(range(len(meaning.things)), 2):
        a, b = meaning.things[i], meaning.things[j]
        if i < j and a.colour and b.colour:
            yield iter([_with(_with(meaning, i, colour=b.colour), j, colour=a.colour)])


def _swap_object(meaning: Meaning, scene: Scene) -> Changes:
    for i, variable in enumerate(meaning.things):
        others = (
            kind for kind in KINDS.values() if scene.place in kind.places and kind.name != variable.term
        )
        fitting = (kind for kind in others if not variable.colour or variable.colour in kind.colours)
        fitting = (kind for kind in fitting if not variable.pattern or variable.pattern in kind.patterns)
        fitting = (kind for kind in fitting if not variable.state or variable.state in kind.states)
        yield (_with(meaning, i, term=kind.name) for kind in fitting)


def _swap_relation(meaning: Meaning, scene: Scene) -> Changes:
    for i, relation in enumerate(meaning.relations):
        before, after = meaning.relations[:i], meaning.relations[i + 1 :]
        turned = Relation(relation.name, relation.b, relation.a)
        yield iter([replace(meaning, relations=(*before, turned, *after))])
        others = (replace(relation, name=name) for name in RELATIONS)
        yield (replace(meaning, relations=(*before, other, *after)) for other in others)


def _change_count(meaning: Meaning, scene: Scene) -> Changes:
    for i, variable in enumerate(meaning.things):
        if variable.term not in MASS:
            yield (_with(meaning, i, least=number, most=number) for number in range(1, 5))


def _drop_detail(meaning: Meaning, scene: Scene) -> Changes:
    for i, variable in enumerate(meaning.things):
        yield (_with(meaning, i, **{f: None}) for f in ATTRIBUTES if getattr(variable, f) is not None)
        if variable.least > 1:
            yield iter([_with(meaning, i, least=1, most=None)])
        if len(meaning.things) > 1:
            yield iter([_without(meaning, i)])
    for name in ("place", "time", "weather"):
        if getattr(meaning, name) is not None:
            yield iter([_setting(meaning, name, None)])


def _add_detail(meaning: Meaning, scene: Scene) -> Changes:
    for i, variable in enumerate(meaning.things):
        for field in ATTRIBUTES:
            if getattr(variable, field) is None:
                yield (_with(meaning, i, **{field: value}) for value in _values(variable, field))
    settings: dict[str, Iterable[str]] = {
        "place": PLACES,
        "time": TIMES,
        "weather": PLACES[meaning.place or scene.place].weathers,
    }
    for name, values in settings.items():
        if getattr(meaning, name) is None:
            yield (_setting(meaning, name, value) for value in values)
    kinds = (kind for kind in KINDS.values() if scene.place in kind.places)
    yield (replace(meaning, things=(*meaning.things, Variable(kind.name))) for kind in kinds)
    if len(meaning.things) == 2 and not meaning.relations:
        yield (replace(meaning, relations=(Relation(name, 0, 1),)) for name in RELATIONS)


EDITS: dict[str, tuple[Callable[[Meaning, Scene], Changes], bool]] = {
    "swap attribute": (_swap_attribute, False),
    "swap object": (_swap_object, False),
    "swap relation": (_swap_relation, False),
    "change count": (_change_count, False),
    "drop detail": (_drop_detail, True),
    "add true detail": (_add_detail, True),
    "add false detail": (_add_detail, False),
}
"""Type of edit -> function that proposes changes, and whether the result is true."""
