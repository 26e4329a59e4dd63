"""Captions are true, varied, correct English, and tell all when they are full."""

import re
from collections import Counter

import numpy as np
import pytest

from itr_core.picturebook.caption_builder import Caption
from itr_core.picturebook.captions import (
    canonical_caption,
    captions_of,
    kind_queries,
    telegraphic,
    telegraphic_queries,
)
from itr_core.picturebook.ontology import KINDS, NOUNS
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import Meaning, Relation, SceneFacts, Variable, grade
from itr_core.picturebook.splits import scene_of
from itr_core.picturebook.wording import article, listed, plural

BUCKETS = ((1, 8), (9, 10), (11, 12), (13, 15), (16, 99))


def test_every_caption_is_true_of_its_scene(scenes: list[Scene], captions: list[list[Caption]]) -> None:
    for scene, said in zip(scenes, captions, strict=True):
        facts = SceneFacts(scene)
        for caption in said:
            assert facts.entail(caption.meaning), (caption, scene)


def test_captions_grow_from_terse_to_full(scenes: list[Scene], captions: list[list[Caption]]) -> None:
    grades = np.array([[grade(s, c.meaning) for c in said] for s, said in zip(scenes, captions, strict=True)])
    terse, telegraphic_, short, medium, full = grades.mean(0)
    assert terse < short < medium < full
    assert terse < telegraphic_ < full
    assert full > 0.97
    assert (grades.argmax(1) == 4).mean() > 0.9
    assert np.mean([len(said[4].text.split()) >= 30 for said in captions]) > 0.4


def test_lengths_hit_every_bucket(captions: list[list[Caption]]) -> None:
    lengths = [len(caption.text.split()) for said in captions for caption in said]
    shares = [np.mean([low <= n <= high for n in lengths]) for low, high in BUCKETS]
    assert sum(shares) == pytest.approx(1)
    assert min(shares) > 0.04
    assert max(lengths) <= 90


def test_a_full_caption_finds_its_scene_among_a_thousand() -> None:
    scenes = [scene_of("test", index) for index in range(1000)]
    truth = SceneRelevance(scenes, [captions_of(scene)[4].meaning for scene in scenes]).matrix()
    assert truth.diagonal().all()
    assert (truth.sum(0) == 1).mean() > 0.9


def test_english_is_correct(captions: list[list[Caption]]) -> None:
    nouns = {word for words in NOUNS.values() for word in words}
    wrong_plurals = {f"{noun}s" for noun in nouns} - {plural(noun) for noun in nouns} - nouns
    stop = "few|pair|couple|an?|the|and|of|is|are"
    subject_and_verb = re.compile(rf"(two|three|four|some|an?|one) (?:(?!(?:{stop})\b)[\w-]+ )+?(is|are)\b")
    for text in (caption.text for said in captions for caption in said):
        assert text == text.strip()
        assert not re.search(r"  | [.,;]|[.,;]{2}|\{|\}|None|_", text), text
        assert not re.search(r"\b[Aa] [aeiou]", text), text
        assert not re.search(r"\b[Aa]n [^aeiou]", text), text
        assert not re.search(r"\b(an?|the|is|are|on|in|of) \1\b", text), text
        words = set(re.findall(r"[\w-]+", text.lower()))
        assert not words & wrong_plurals, text
        if verb := subject_and_verb.match(text.lower()):
            assert verb[2] == ("is" if verb[1] in ("a", "an", "one") or "food" in text else "are"), text


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("dog", "dogs"),
        ("sheep", "sheep"),
        ("fish", "fish"),
        ("woman", "women"),
        ("child", "children"),
        ("person", "people"),
        ("cactus", "cacti"),
        ("bus", "buses"),
        ("butterfly", "butterflies"),
        ("boy", "boys"),
        ("bench", "benches"),
        ("fox", "foxes"),
        ("loaf of bread", "loaves of bread"),
        ("piece of furniture", "pieces of furniture"),
        ("aircraft", "aircraft"),
        ("human", "humans"),
        ("snowman", "snowmen"),
    ],
)
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many


def test_articles_and_lists() -> None:
    assert article("owl") == "an owl"
    assert article("hot-air balloon") == "a hot-air balloon"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_people_say_things_in_many_ways(captions: list[list[Caption]]) -> None:
    texts = [caption.text for said in captions for caption in said]
    assert len(set(texts)) > 0.85 * len(texts)
    openings = Counter(" ".join(said[2].text.lower().split()[:2]) for said in captions)
    assert len(openings) > 60
    everything = " ".join(texts).lower()
    for word in ("puppy", "kitten", "animal", "vehicle", "can be seen", "wearing", "on top of", "what a day"):
        assert word in everything
    assert 0.3 < np.mean([said[3].text[0].isupper() for said in captions]) < 0.9


def test_two_of_a_kind_are_told_apart(scenes: list[Scene], captions: list[list[Caption]]) -> None:
    for scene, said in zip(scenes, captions, strict=True):
        kinds = Counter(look.kind for look in {thing.look for thing in scene.things})
        for kind, number in kinds.items():
            if number > 1 and KINDS[kind].colours:
                of_kind = [variable for variable in said[4].meaning.things if variable.term == kind]
                assert len({variable.colour for variable in of_kind}) == number


def test_typed_queries(scenes: list[Scene]) -> None:
    query = telegraphic(scenes[0], np.random.default_rng(0))
    assert query == telegraphic(scenes[0], np.random.default_rng(0))
    queries = telegraphic_queries(scenes, 50, seed=3)
    assert len(queries) == 50
    assert queries == telegraphic_queries(scenes, 50, seed=3)
    truth = SceneRelevance(scenes, [query.meaning for query in queries]).matrix()
    assert truth.any(0).all()
    for query in queries:
        assert query.meaning.fact_count() >= 3
        assert not re.search(r"\b(an?|the|is|are)\b(?! \w+ scarf)|\.", query.text), query.text


def test_one_query_per_kind(scenes: list[Scene]) -> None:
    queries = kind_queries()
    assert [query.text for query in queries] == list(KINDS)
    truth = SceneRelevance(scenes, [query.meaning for query in queries]).matrix()
    for s, scene in enumerate(scenes[:50]):
        named = {query.text for query, true in zip(queries, truth[s], strict=True) if true}
        assert {thing.kind for thing in scene.things} <= named


def test_plain_words() -> None:
    meaning = Meaning(
        (Variable("dog", "brown", least=2, most=2), Variable("person", "red", "striped"), Variable("food")),
        (Relation("behind", 0, 1),),
        place="forest",
        weather="rain",
    )
    assert canonical_caption(meaning) == (
        "two brown dogs behind a person in striped red clothes and some food in a forest in rainy weather"
    )
    assert canonical_caption(Meaning(time="night")) == "at night"
