"""Typed queries: true of their scene, with false variants that differ in one fact and in its words only."""

from difflib import SequenceMatcher

import numpy as np
import pytest

from itr_core.picturebook.captions import canonical_caption
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import Meaning, SceneFacts, Variable, entails
from itr_core.picturebook.typed_queries import TypedQuery, typed_queries, typed_text
from itr_core.picturebook.wording import NUMBERS

Queries = list[tuple[Scene, TypedQuery]]


@pytest.fixture(scope="module")
def queries(scenes: list[Scene]) -> Queries:
    return [
        (scene, query)
        for scene in scenes[:200]
        for query in typed_queries(SceneFacts(scene), np.random.default_rng(scene.seed), 5)
    ]


def test_queries_are_true_and_their_variants_false(queries: Queries) -> None:
    for scene, query in queries:
        assert entails(scene, query.query.meaning), query.query.text
        assert query.false, query.query.text
        for variant in query.false:
            assert not entails(scene, variant.meaning), f"{query.query.text}: {variant.text}"
            assert variant.text != query.query.text


def test_variants_keep_the_wording_of_the_query(queries: Queries) -> None:
    alike = [
        SequenceMatcher(None, query.query.text, variant.text).ratio()
        for _, query in queries
        if query.query.meaning.fact_count() >= 4
        for variant in query.false
    ]
    assert len(alike) > 100
    assert np.mean(alike) > 0.8


def test_queries_cover_what_people_ask_for(queries: Queries) -> None:
    meanings = [query.query.meaning for _, query in queries]
    things = [thing for meaning in meanings for thing in meaning.things]
    texts = [query.query.text for _, query in queries]
    assert np.mean([len(text.split()) for text in texts]) < 6
    for share in (
        np.mean([any(each.most == 0 for each in m.things) for m in meanings]),
        np.mean([any(each.binds_all and each.most != 0 for each in m.things) for m in meanings]),
        np.mean([bool(m.relations) for m in meanings]),
        np.mean([each.state is not None for each in things]),
        np.mean([any(letter.isdigit() for letter in text) for text in texts]),
    ):
        assert 0.03 < share < 0.5


def test_a_query_depends_on_the_seed_only(scenes: list[Scene]) -> None:
    facts = SceneFacts(scenes[0])
    first, again, other = (typed_queries(facts, np.random.default_rng(seed), 10) for seed in (1, 1, 2))
    assert first == again != other


def test_an_absent_thing_is_named_with_no_or_without() -> None:
    meaning = Meaning((Variable("dog", least=0, most=0),))
    texts = [typed_text(meaning, np.random.default_rng(seed)).lower() for seed in range(100)]
    named = sum(bool({"no", "without"} & set(text.split())) for text in texts)
    assert 90 <= named < 100  # a typo can be in the word itself


def test_no_dog_is_true_exactly_where_there_is_none(scenes: list[Scene]) -> None:
    meaning = Meaning((Variable("dog", least=0, most=0), Variable("animal")))
    dogs = np.array([any(thing.kind == "dog" for thing in scene.things) for scene in scenes])
    animals = SceneRelevance(scenes, [Meaning((Variable("animal"),))]).matrix()[:, 0]
    assert (SceneRelevance(scenes, [meaning]).matrix()[:, 0] == (animals & ~dogs)).all()
    assert [entails(scene, meaning) for scene in scenes] == (animals & ~dogs).tolist()
    assert canonical_caption(meaning) == "no dogs and an animal"
    assert NUMBERS[0] == "no"
