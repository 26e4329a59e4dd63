"""The first false fact of a query, in plain words."""

import numpy as np
import pytest

from itr_core.picturebook.broken import broken_fact
from itr_core.picturebook.parsing import parse_query
from itr_core.picturebook.scene import Scene, Thing
from itr_core.picturebook.semantics import SceneFacts
from itr_core.picturebook.typed_queries import typed_queries

MEADOW = Scene(
    "meadow",
    "sunset",
    "clear",
    (
        Thing("house", "white", "plain", "medium", None, 0.3, 0.7),
        Thing("dog", "brown", "spotted", "medium", "running", 0.32, 0.9),
        Thing("dog", "brown", "plain", "big", "sleeping", 0.8, 0.72),
        Thing("dog", "black", "plain", "big", "sleeping", 0.6, 0.72),
        Thing("woman", "red", "plain", "medium", "standing", 0.1, 0.72),
        Thing("rainbow", None, "plain", "medium", None, 0.5, 0.2),
    ),
)


@pytest.mark.parametrize(
    ("query", "broken"),
    [
        ("three dogs", ""),
        ("2 dogs", "3 dogs, not 2"),
        ("one brown dog", "2 brown dogs, not 1"),
        ("houses", "1 house, not several"),
        ("a white dog", "brown, not white"),
        ("a white dog and a house", "dog: brown, not white"),
        ("a big white spotted dog", "brown, not white"),
        ("striped dog", "spotted, not striped"),
        ("standing dog", "running, not standing"),
        ("woman in blue", "in red, not blue"),
        ("red rainbow", "not red"),
        ("dog and cat", "no cat"),
        ("two cats", "no cat"),
        ("no dogs", "3 dogs, not none"),
        ("meadow without a house", "1 house, not none"),
        ("a woman and a person", "no other person"),
        ("woman left of a house", ""),
        ("woman right of a house", "woman to the left of the house, not to the right"),
        ("house behind a woman", "house to the right of the woman, not behind"),
        ("dog on a house", "dog to the right of the house, not on it"),
        ("dog at the beach", "meadow, not beach"),
        ("dog at night", "sunset, not night"),
        ("house in the rain", "clear sky, not rain"),
    ],
)
def test_the_first_false_fact(query: str, broken: str) -> None:
    meaning = parse_query(query)
    assert meaning
    text = broken_fact(SceneFacts(MEADOW), meaning)
    assert text == broken


def test_a_fact_is_broken_exactly_where_the_meaning_is_false(scenes: list[Scene]) -> None:
    facts = [SceneFacts(scene) for scene in scenes[:50]]
    for own in facts:
        for typed in typed_queries(own, np.random.default_rng(own.scene.seed), 1):
            for each in (typed.query, *typed.false):
                assert [not broken_fact(other, each.meaning) for other in facts] == [
                    other.entail(each.meaning) for other in facts
                ]
