"""What of a caption is wrong about an image: by the truth, or by what other captions say of the image."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from analysis.lexicon import OPPOSITES, Content
from itr_core.picturebook.ontology import KINDS, RELATIONS
from itr_core.picturebook.scene import Thing
from itr_core.picturebook.semantics import CONVERSE, Meaning, Relation, SceneFacts, Variable
from itr_core.picturebook.wording import NUMBERS

ATTRIBUTES = ("colour", "pattern", "size", "state")
SETTING = ("place", "time", "weather")
CAUSES = (
    {"object": "wrong object"}
    | dict.fromkeys(ATTRIBUTES, "wrong attribute")
    | {"count": "wrong count"}
    | dict.fromkeys(SETTING, "wrong setting")
    | {"relation": "wrong relation"}
)
"""Concept -> the cause of a mistake in it, in the order in which they are looked for."""


class Difference(NamedTuple):
    """A caption and an image differ in `concept`: one says "red", the other shows "blue" ("": nothing)."""

    concept: str
    captioned: str
    depicted: str

    def __str__(self) -> str:
        return f"{self.concept}: {self.captioned} -> {self.depicted or '?'}"


def difference_by_truth(facts: SceneFacts, meaning: Meaning) -> Difference | None:
    """The gravest part of a meaning that is false of a scene; None where all of it is true.

    First things that are not there at all, then things that look otherwise, then their number, then place,
    time and weather, and last how things that are all there stand to each other. `depicted` is what the scene
    has instead: the most similar thing that the caption does not speak of, or the look, number, setting or
    relation that is true.
    """
    if facts.entail(meaning):
        return None
    here = [[t for t in facts.scene.things if v.term in KINDS[t.kind].is_a] for v in meaning.things]
    for variable, things in zip(meaning.things, here, strict=True):
        if not things:
            return Difference("object", variable.term, _instead(facts, meaning, variable))
    for variable, things in zip(meaning.things, here, strict=True):
        if unlike := min((_unlike(variable, thing) for thing in things), key=len):
            return unlike[0]
    for end, variable in enumerate(meaning.things, 1):
        if not facts.entail(Meaning(meaning.things[:end])):
            return _miscounted(facts, variable)
    for field in SETTING:
        captioned, depicted = getattr(meaning, field), getattr(facts.scene, field)
        if captioned not in (None, depicted):
            return Difference(field, captioned, depicted)
    return _misplaced(facts, meaning)


def _unlike(variable: Variable, thing: Thing) -> list[Difference]:
    """In what a thing differs from its description."""
    looks = ((field, getattr(variable, field), getattr(thing, field)) for field in ATTRIBUTES)
    return [
        Difference(field, captioned, depicted or "")
        for field, captioned, depicted in looks
        if captioned not in (None, depicted)
    ]


def _instead(facts: SceneFacts, meaning: Meaning, variable: Variable) -> str:
    """The kind, of those the meaning does not name, that is most like what is missing; "" if none is."""
    kinds = {thing.kind for thing in facts.scene.things}
    named = {other.term for other in meaning.things if other is not variable}
    missing = next(kind.is_a for kind in KINDS.values() if variable.term in kind.is_a)
    missing = missing[missing.index(variable.term) :]

    def likeness(kind: str) -> tuple[int, str]:
        return len(set(KINDS[kind].is_a) & set(missing)), kind

    best = max((kind for kind in kinds if not named & set(KINDS[kind].is_a)), key=likeness, default="")
    return best if best and likeness(best)[0] else ""


def _miscounted(facts: SceneFacts, variable: Variable) -> Difference:
    found = facts.matching(variable).bit_count()
    if variable.least <= found <= (variable.most or found):
        return Difference("count", f"another {variable.term}", NUMBERS[found])  # what fits is spoken of
    captioned = NUMBERS[variable.least] if variable.most else "several"
    return Difference("count", captioned, NUMBERS[found])


def _misplaced(facts: SceneFacts, meaning: Meaning) -> Difference | None:
    """The first relation that cannot be true together with those before it, and what is true in its place."""
    for end, relation in enumerate(meaning.relations, 1):
        before = meaning.relations[: end - 1]
        if not facts.entail(replace(meaning, relations=(*before, relation))):
            names = [name for name in (CONVERSE.get(relation.name), *RELATIONS) if name]
            true = (
                name
                for name in names
                if facts.entail(replace(meaning, relations=(*before, Relation(name, relation.a, relation.b))))
            )
            return Difference("relation", relation.name, next(true, ""))
    return None


def difference_by_text(caption: Content, others: Sequence[Content]) -> Difference | None:
    """In what a caption differs from what all captions of an image say together; None: in nothing known.

    Captions do not tell everything, so only a contradiction counts for listed words (a colour is named, and
    another one is named of the image), in the order of `difference_by_truth`; unless no thing at all is
    common to both, which is looked at first, and any word that the image's captions lack, which comes last.
    """
    things = set().union(*(other.things for other in others))
    values = set().union(*(other.values for other in others))
    missing = [word for root, word in caption.things.items() if root not in things]
    if missing and len(missing) == len(caption.things):
        return Difference("object", missing[0], "")
    for concept in CAUSES:
        captioned = sorted(word for name, word in caption.values - values if name == concept)
        depicted = sorted(word for name, word in values - caption.values if name == concept)
        if concept == "relation":  # a thing may be behind one and above another
            captioned = [word for word in captioned if OPPOSITES[word] in depicted]
            depicted = [OPPOSITES[word] for word in captioned]
        if captioned and depicted:
            return Difference(concept, captioned[0], depicted[0])
    return Difference("object", missing[0], "") if missing else None
