"""The part of a caption that is false of an image: by known truth, or by the image's own captions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from analysis.lexicon import OPPOSITES, Content
from itr_core.picturebook.ontology import KINDS, RELATIONS
from itr_core.picturebook.scene import Thing
from itr_core.picturebook.semantics import (
    ATTRIBUTES,
    CONVERSE,
    SETTING,
    Meaning,
    Relation,
    SceneFacts,
    Variable,
)
from itr_core.picturebook.wording import NUMBERS

CAUSES = (
    {"object": "wrong object"}
    | dict.fromkeys(ATTRIBUTES, "wrong attribute")
    | {"count": "wrong count"}
    | dict.fromkeys(SETTING, "wrong setting")
    | {"relation": "wrong relation"}
)
"""Concept -> cause of a difference in it, in the order in which concepts are compared: most severe first."""


class Difference(NamedTuple):
    """Difference of a caption and an image in one concept, such as ("colour", "red", "blue").

    `depicted` is "" if the image shows nothing in place of what the caption says.
    """

    concept: str
    captioned: str
    depicted: str

    def __str__(self) -> str:
        return f"{self.concept}: {self.captioned} -> {self.depicted or '?'}"


def difference_by_truth(facts: SceneFacts, meaning: Meaning) -> Difference | None:
    """Return the most severe part of a meaning that is false of a scene, or None if all of it is true.

    The order is: missing objects; attributes of objects; numbers of objects; place, time and weather;
    relations between objects. `depicted` is what the scene contains instead: the most similar object that
    the caption does not mention, or the true attribute, number, setting or relation.
    """
    if facts.entail(meaning):
        return None
    matches = [[t for t in facts.scene.things if v.term in KINDS[t.kind].is_a] for v in meaning.things]
    for variable, things in zip(meaning.things, matches, strict=True):
        if not things:
            return Difference("object", variable.term, _replacement(facts, meaning, variable))
    for variable, things in zip(meaning.things, matches, strict=True):
        if differences := min((_attribute_differences(variable, thing) for thing in things), key=len):
            return differences[0]
    for end, variable in enumerate(meaning.things, 1):
        if not facts.entail(Meaning(meaning.things[:end])):
            return _count_difference(facts, variable)
    for field in SETTING:
        captioned, depicted = getattr(meaning, field), getattr(facts.scene, field)
        if captioned not in (None, depicted):
            return Difference(field, captioned, depicted)
    return _relation_difference(facts, meaning)


def _attribute_differences(variable: Variable, thing: Thing) -> list[Difference]:
    """Return the attributes in which a thing differs from its description."""
    attributes = ((field, getattr(variable, field), getattr(thing, field)) for field in ATTRIBUTES)
    return [
        Difference(field, captioned, depicted or "")
        for field, captioned, depicted in attributes
        if captioned not in (None, depicted)
    ]


def _replacement(facts: SceneFacts, meaning: Meaning, variable: Variable) -> str:
    """Return the kind in the scene that is most similar to a missing one and is not named; "" if none is."""
    kinds = {thing.kind for thing in facts.scene.things}
    named = {other.term for other in meaning.things if other is not variable}
    missing = next(kind.is_a for kind in KINDS.values() if variable.term in kind.is_a)
    missing = missing[missing.index(variable.term) :]

    def similarity(kind: str) -> tuple[int, str]:
        return len(set(KINDS[kind].is_a) & set(missing)), kind

    best = max((kind for kind in kinds if not named & set(KINDS[kind].is_a)), key=similarity, default="")
    return best if best and similarity(best)[0] else ""


def _count_difference(facts: SceneFacts, variable: Variable) -> Difference:
    found = facts.matching(variable).bit_count()
    if variable.allows(found):
        return Difference(
            "count", f"another {variable.term}", NUMBERS[found]
        )  # all that match are already mentioned
    captioned = "several" if variable.most is None else NUMBERS[variable.least]
    return Difference("count", captioned, NUMBERS[found])


def _relation_difference(facts: SceneFacts, meaning: Meaning) -> Difference | None:
    """Return the first relation that contradicts the scene, given those before it, and the true relation."""
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
    """Return the difference of a caption from all captions of an image together, or None if none is known.

    Captions are incomplete, so listed words (`analysis.lexicon`) only count if they contradict: the caption
    and the image's captions name different colours. Compared in this order: captions without any object in
    common; contradictions in the order of `CAUSES`; objects that the image's captions do not name.

    Args:
        caption: content of the caption.
        others: content of the captions of the image.
    """
    things = set().union(*(other.things for other in others))
    values = set().union(*(other.values for other in others))
    missing = [word for root, word in caption.objects.items() if root not in things]
    if missing and len(missing) == len(caption.objects):
        return Difference("object", missing[0], "")
    for concept in CAUSES:
        captioned = sorted(word for name, word in caption.values - values if name == concept)
        depicted = sorted(word for name, word in values - caption.values if name == concept)
        if concept == "relation":  # an object can be behind one and above another
            captioned = [word for word in captioned if OPPOSITES[word] in depicted]
            depicted = [OPPOSITES[word] for word in captioned]
        if captioned and depicted:
            return Difference(concept, captioned[0], depicted[0])
    return Difference("object", missing[0], "") if missing else None
