"""Truth of captions: tables by hand, and an oracle that tries every binding."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from itr_core.picturebook.caption_builder import Caption
from itr_core.picturebook.edits import edits_of
from itr_core.picturebook.ontology import KINDS
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.scene import Scene, Thing
from itr_core.picturebook.semantics import (
    CONVERSE,
    Meaning,
    Relation,
    SceneFacts,
    Variable,
    entails,
    grade,
    statable_facts,
)

# A white house far left, a brown dog before it, a black dog far right, a cat on a sofa between, a kite above.
HOUSE, BROWN, BLACK, KITE = range(4)
OUTDOORS = Scene(
    "meadow",
    "sunset",
    "clear",
    (
        Thing("house", "white", "plain", "medium", None, 0.3, 0.7),
        Thing("dog", "brown", "spotted", "medium", "running", 0.32, 0.9),
        Thing("dog", "black", "plain", "big", "sleeping", 0.8, 0.72),
        Thing("kite", "red", "plain", "medium", "flying", 0.75, 0.2),
    ),
)
INDOORS = Scene(
    "living room",
    "night",
    "rain",
    (
        Thing("sofa", "red", "plain", "medium", None, 0.4, 0.85),
        Thing("cat", "grey", "plain", "small", "sleeping", 0.4, 0.72, on=0),
        Thing("ball", "blue", "plain", "medium", None, 0.8, 0.86),
        Thing("ball", "blue", "plain", "medium", None, 0.92, 0.9),
    ),
)
DOG, CAT, HOUSE_, KITE_ = Variable("dog"), Variable("cat"), Variable("house"), Variable("kite")


def _meaning(*things: Variable, relations: tuple[tuple[int, str, int], ...] = (), **setting: str) -> Meaning:
    return Meaning(things, tuple(Relation(name, a, b) for a, name, b in relations), **setting)


@pytest.mark.parametrize(
    ("meaning", "true"),
    [
        (_meaning(), True),
        (_meaning(DOG), True),
        (_meaning(CAT), False),
        (_meaning(Variable("pet")), True),
        (_meaning(Variable("animal", state="running")), True),
        (_meaning(Variable("building", "white")), True),
        (_meaning(Variable("vehicle")), False),
        (_meaning(Variable("dog", "brown", "spotted", state="running")), True),
        (_meaning(Variable("dog", "black", "spotted")), False),  # true of two dogs, but not of one
        (_meaning(Variable("dog", size="big", state="sleeping")), True),
        (_meaning(Variable("dog", "brown", size="big")), False),
        (_meaning(place="meadow", time="sunset", weather="clear"), True),
        (_meaning(place="meadow", time="night"), False),
        (_meaning(DOG, place="beach"), False),
        # numbers
        (_meaning(Variable("dog", least=2, most=2)), True),
        (_meaning(Variable("dog", least=3, most=3)), False),
        (_meaning(Variable("dog", least=1, most=1)), False),
        (_meaning(Variable("dog", "brown", least=1, most=1)), True),
        (_meaning(Variable("animal", least=2)), True),
        (_meaning(Variable("house", least=2)), False),
        # distinct variables bind distinct things
        (_meaning(DOG, DOG), True),
        (_meaning(DOG, DOG, DOG), False),
        (_meaning(HOUSE_, HOUSE_), False),
        (_meaning(Variable("dog", least=2, most=2), DOG), False),
        (_meaning(DOG, Variable("animal", "black")), True),
        # one binding for all facts
        (_meaning(Variable("dog", "brown"), HOUSE_, relations=((0, "in front of", 1),)), True),
        (_meaning(Variable("dog", "black"), HOUSE_, relations=((0, "in front of", 1),)), False),
        (_meaning(DOG, HOUSE_, relations=((0, "in front of", 1), (0, "right of", 1))), False),
        (_meaning(HOUSE_, DOG, relations=((0, "behind", 1),)), True),
        (_meaning(HOUSE_, DOG, relations=((0, "in front of", 1),)), False),
        (_meaning(KITE_, DOG, relations=((0, "above", 1),)), True),
        (_meaning(DOG, KITE_, relations=((0, "below", 1),)), True),
        (_meaning(DOG, KITE_, relations=((0, "above", 1),)), False),
        # a relation of several holds of each of them
        (_meaning(Variable("dog", least=2, most=2), KITE_, relations=((0, "below", 1),)), True),
        (_meaning(Variable("dog", least=2, most=2), HOUSE_, relations=((0, "right of", 1),)), False),
    ],
)
def test_truth_outdoors(meaning: Meaning, true: bool) -> None:
    assert entails(OUTDOORS, meaning) == true


@pytest.mark.parametrize(
    ("a", "name", "b", "true"),
    [
        ("cat", "on", "sofa", True),
        ("sofa", "on", "cat", False),
        ("cat", "above", "sofa", False),
        ("cat", "in front of", "sofa", False),
        ("cat", "left of", "ball", True),
        ("ball", "right of", "sofa", True),
        ("ball", "next to", "sofa", True),
        ("sofa", "next to", "ball", True),
        ("cat", "next to", "ball", False),
    ],
)
def test_relations_indoors(a: str, name: str, b: str, true: bool) -> None:
    assert entails(INDOORS, _meaning(Variable(a), Variable(b), relations=((0, name, 1),))) == true


def test_relations_have_their_converse_and_exclude_it(scenes: list[Scene]) -> None:
    for scene in scenes:
        facts = SceneFacts(scene)
        for (name, converse), i, j in product(
            CONVERSE.items(), range(len(scene.things)), range(len(scene.things))
        ):
            true = facts.related(name, 1 << i, 1 << j)
            assert true == facts.related(converse, 1 << j, 1 << i)
            assert not (true and name != converse and facts.related(converse, 1 << i, 1 << j))
            assert not (true and i == j)


def test_grade_is_the_share_of_facts() -> None:
    # kind, colour, state of each dog, pattern of one and size of the other; kind and colour of house and kite
    # (a kite can only fly); three facts of arrangement; place, time, weather.
    assert statable_facts(OUTDOORS) == (4 + 4 + 2 + 2) + 3 + 3
    assert grade(OUTDOORS, _meaning(DOG)) == pytest.approx(1 / 18)
    assert grade(OUTDOORS, _meaning(Variable("animal"))) == pytest.approx(0.5 / 18)
    assert grade(OUTDOORS, _meaning(CAT)) == 0
    assert grade(OUTDOORS, _meaning(Variable("dog", "brown", state="running"), place="meadow")) == 4 / 18
    # kind and colour of three groups, the size and state of the cat, the number of balls, 2 + 3
    assert statable_facts(INDOORS) == (2 + 4 + 3) + 2 + 3


def test_to_say_more_never_lowers_the_grade(scenes: list[Scene], captions: list[list[Caption]]) -> None:
    for scene, said in zip(scenes[:100], captions, strict=False):
        meaning = said[-1].meaning
        whole = grade(scene, meaning)
        assert 0.8 < whole <= 1
        assert grade(scene, replace(meaning, time=None)) < whole
        assert grade(scene, replace(meaning, relations=())) <= whole


def _oracle(scene: Scene, meaning: Meaning) -> bool:
    """Try every assignment of sets of things to variables."""
    facts, things = SceneFacts(scene), range(len(scene.things))
    if any(
        getattr(meaning, name) not in (None, getattr(scene, name)) for name in ("place", "time", "weather")
    ):
        return False

    def fits(i: int, variable: Variable) -> bool:
        thing = scene.things[i]
        stated = {f: getattr(variable, f) for f in ("colour", "pattern", "size", "state")}
        return variable.term in KINDS[thing.kind].is_a and all(
            value is None or getattr(thing, field) == value for field, value in stated.items()
        )

    def choices(variable: Variable) -> list[tuple[int, ...]]:
        matching = [i for i in things if fits(i, variable)]
        if variable.most is None and variable.least == 1:
            return list(combinations(matching, 1))
        return [tuple(matching)] if variable.least <= len(matching) <= (variable.most or 99) else []

    for sets in product(*map(choices, meaning.things)):
        members = [i for chosen in sets for i in chosen]
        if len(members) == len(set(members)) and all(
            facts.relations[r.name][i] >> j & 1
            for r in meaning.relations
            for i in sets[r.a]
            for j in sets[r.b]
        ):
            return True
    return False


@pytest.fixture(scope="module")
def meanings(scenes: list[Scene], captions: list[list[Caption]]) -> list[Meaning]:
    """Captions, and near misses of them."""
    rng = np.random.default_rng(1)
    said = [caption.meaning for five in captions[:100] for caption in five]
    return said + [edit.after.meaning for scene in scenes[:100] for edit in edits_of(scene, rng)]


def test_entailment_agrees_with_trying_every_binding(scenes: list[Scene], meanings: list[Meaning]) -> None:
    rng = np.random.default_rng(2)
    pairs = [(i, i // 5) for i in range(500)] + rng.integers((len(meanings), 100), size=(4000, 2)).tolist()
    results = [(entails(scenes[s], meanings[m]), _oracle(scenes[s], meanings[m])) for m, s in pairs]
    assert all(ours == theirs for ours, theirs in results)
    assert {ours for ours, _ in results} == {True, False}


def test_vectorised_truth_is_the_scalar_truth(scenes: list[Scene], meanings: list[Meaning]) -> None:
    some = scenes[:100]
    truth = SceneRelevance(some, meanings)
    matrix, grades = truth.matrix(), truth.grade()
    facts = [SceneFacts(scene) for scene in some]
    expected = np.array([[fact.entail(meaning) for meaning in meanings] for fact in facts])
    assert matrix.dtype == bool
    assert (matrix == expected).all()
    assert grades.dtype == np.float32
    for s, m in np.argwhere(expected)[::37]:
        assert grades[s, m] == pytest.approx(grade(some[s], meanings[m]))
    assert (grades[~expected] == 0).all()
    assert (truth.matrix(slice(10, 20)) == matrix[10:20]).all()
    assert (truth.grade(np.array([7, 3])) == grades[[7, 3]]).all()


def test_truth_of_words_that_no_scene_shows() -> None:
    truth = SceneRelevance(
        [OUTDOORS], [_meaning(CAT), _meaning(place="sea"), _meaning(Variable("dog", "pink")), _meaning(DOG)]
    )
    assert truth.matrix().tolist() == [[False, False, False, True]]
