"""Questions with exact truth: two texts that differ in one respect, and a picture for which each is true.

A question has two texts A and B and two scenes a and b of Picturebook. A is true of a and false of b; B is
true of b and false of a. So a model that ignores the picture, however much it likes one of the texts, is
right for one of the two scenes: its accuracy is exactly one half. (Winoground pairs images and captions in
the same way; Thrush et al., CVPR 2022.)
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, islice
from typing import NamedTuple

import numpy as np

from analysis.probes.word_edits import negated
from itr_core.picturebook.captions import canonical_caption
from itr_core.picturebook.edits import EDITS
from itr_core.picturebook.ontology import KINDS, RELATIONS
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.scene import Look, Scene
from itr_core.picturebook.semantics import ATTRIBUTES, CONVERSE, Meaning, Relation, SceneFacts, Variable
from itr_core.picturebook.wording import MASS, WordChooser

_PROPOSALS = 3
"""Pairs of meanings that are proposed per scene and kind."""
_BLOCK = 64
"""Scenes whose proposals are checked at once."""


class Question(NamedTuple):
    """`texts[i]` is true of `scenes[i]` (a row of the given scenes) and false of the other scene."""

    kind: str
    texts: tuple[str, str]
    scenes: tuple[int, int]


Pairs = Iterator[tuple[Meaning, Meaning]]
"""Pairs of meanings; the first is about the scene, and its truth is still to be checked."""


def make_questions(scenes: Sequence[Scene], number: int, seed: int = 0) -> list[Question]:
    """Make questions of each kind in `KINDS_HEARD`, in this order.

    A scene occurs in at most one question of a kind, so that the questions of a kind are independent.

    Args:
        scenes: Scenes to choose from.
        number: Largest number of questions per kind; there are fewer if the scenes allow no more.
        seed: Of the choice.
    """
    made: list[Question] = []
    for position, (kind, propose) in enumerate(KINDS_HEARD.items()):
        chooser = WordChooser(np.random.default_rng([seed, position]))
        made += islice(_questions(kind, propose, scenes, chooser), number)
    return made


def _questions(
    kind: str, propose: Callable[[Scene], Pairs], scenes: Sequence[Scene], chooser: WordChooser
) -> Iterator[Question]:
    """Pair the scene of each proposal with a free scene of which the second meaning is true."""
    free = np.ones(len(scenes), bool)
    order = chooser.shuffled(range(len(scenes)))
    for start in range(0, len(order), _BLOCK):
        proposals = [
            (row, first, second)
            for row in order[start : start + _BLOCK]
            for first, second in chooser.shuffled(list(propose(scenes[row])))[:_PROPOSALS]
        ]
        firsts = SceneRelevance(scenes, [first for _, first, _ in proposals]).matrix()
        seconds = SceneRelevance(scenes, [second for _, _, second in proposals]).matrix()
        for column, (row, first, second) in enumerate(proposals):
            others = np.flatnonzero(free & seconds[:, column] & ~firsts[:, column]).tolist()
            if free[row] and firsts[row, column] and not seconds[row, column] and others:
                other = chooser.pick(others)
                free[[row, other]] = False
                yield Question(kind, _texts(kind, first, second), (row, other))


def _texts(kind: str, first: Meaning, second: Meaning) -> tuple[str, str]:
    text = canonical_caption(first)
    return text, next(negated(text)) if kind == "negation" else canonical_caption(second)


# ---- one function per kind


def _groups(scene: Scene) -> list[tuple[Look, int]]:
    """Return the looks of the things, each with its number of things."""
    looks = [thing.look for thing in scene.things]
    return [(look, looks.count(look)) for look in dict.fromkeys(looks)]


def _negation(scene: Scene) -> Pairs:
    """Propose "a dog in a meadow" and "no dog in a meadow"."""
    for kind in dict.fromkeys(thing.kind for thing in scene.things):
        absent = Variable(kind, least=0, most=0)
        yield Meaning((Variable(kind),), place=scene.place), Meaning((absent,), place=scene.place)


def _order(scene: Scene) -> Pairs:
    """Propose pairs of the same words in another order.

    "a dog in front of a tree" and "a tree in front of a dog"; "a red ball and a blue car" and "a blue ball
    and a red car".
    """
    facts = SceneFacts(scene)
    for i, j in combinations(range(len(scene.things)), 2):
        for a in KINDS[scene.things[i].kind].is_a:
            for b in KINDS[scene.things[j].kind].is_a:
                things = Variable(a), Variable(b)
                if a == b or MASS & {a, b}:
                    continue
                for name in RELATIONS:
                    if name != CONVERSE.get(name) and facts.related(name, 1 << i, 1 << j):
                        yield (
                            Meaning(things, (Relation(name, 0, 1),)),
                            Meaning(things, (Relation(name, 1, 0),)),
                        )
                one, other = scene.things[i].colour, scene.things[j].colour
                if one and other and one != other:
                    yield (
                        Meaning((replace(things[0], colour=one), replace(things[1], colour=other))),
                        Meaning((replace(things[0], colour=other), replace(things[1], colour=one))),
                    )


def _counting(scene: Scene) -> Pairs:
    """Propose "two dogs" and "three dogs": numbers above one, which all take the plural."""
    for look, number in _groups(scene):
        for term in KINDS[look.kind].is_a:
            for other in {2, 3, 4} - {number}:
                if number > 1 and term not in MASS:
                    yield (
                        Meaning((Variable(term, least=number, most=number),)),
                        Meaning((Variable(term, least=other, most=other),)),
                    )


def _attributes(scene: Scene) -> Pairs:
    """Propose "a red car" and "a blue car": colours, patterns, sizes and states."""
    for look, _ in _groups(scene):
        for name in ATTRIBUTES:
            value = getattr(look, name)
            if value not in (None, "plain", "medium"):
                meaning = Meaning((replace(Variable(look.kind), **{name: value}),))
                yield from _edited("swap attribute", meaning, scene)


def _relations(scene: Scene) -> Pairs:
    """Propose "a dog behind a tree" and "a dog next to a tree": another relation of the same things."""
    facts = SceneFacts(scene)
    for i, j in combinations(range(len(scene.things)), 2):
        for a in KINDS[scene.things[i].kind].is_a:
            for b in KINDS[scene.things[j].kind].is_a:
                for name in RELATIONS:
                    if a != b and not MASS & {a, b} and facts.related(name, 1 << i, 1 << j):
                        things = Variable(a), Variable(b)
                        for other in RELATIONS:
                            yield (
                                Meaning(things, (Relation(name, 0, 1),)),
                                Meaning(things, (Relation(other, 0, 1),)),
                            )


def _objects(scene: Scene) -> Pairs:
    """Propose "a dog in a meadow" and "a horse in a meadow": another kind that occurs at this place."""
    for look, _ in _groups(scene):
        yield from _edited("swap object", Meaning((Variable(look.kind),), place=scene.place), scene)


def _edited(edit: str, meaning: Meaning, scene: Scene) -> Pairs:
    for group in EDITS[edit][0](meaning, scene):
        yield from ((meaning, other) for other in group)


KINDS_HEARD: dict[str, Callable[[Scene], Pairs]] = {
    "negation": _negation,
    "order": _order,
    "counting": _counting,
    "attributes": _attributes,
    "relations": _relations,
    "objects": _objects,
}
"""Kind of question -> function that proposes pairs of meanings for a scene."""
