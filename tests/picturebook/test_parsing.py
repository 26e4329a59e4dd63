"""What captions and typed queries state, read from their text."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from itr_core.picturebook import typed_queries as typed
from itr_core.picturebook.caption_builder import Caption
from itr_core.picturebook.captions import kind_queries
from itr_core.picturebook.ontology import STATES
from itr_core.picturebook.parsing import MOST_WORDS, parse_query
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.semantics import Meaning, Relation, SceneFacts, Variable
from itr_core.picturebook.typed_queries import typed_queries

WRITTEN = Path(__file__).parents[2] / "benchmarks" / "typed_queries.yaml"


def _as_said(caption: Caption) -> Meaning:
    """Return the meaning without what the generator records but does not say.

    It can leave out the number one ("fox"), the plural of "sheep", and the state of the second of two things.
    """
    text = caption.text.lower()
    words = set(re.findall(r"\w+", text))

    def said(variable: Variable) -> Variable:
        if variable.most == 1 and not words & {"one", "single", "1"}:
            variable = replace(variable, most=None)
        if variable.term in ("sheep", "fish", "deer") and variable.most is None and "few" not in words:
            variable = variable if "some" in words else replace(variable, least=1)
        ways = STATES.get(variable.state or "", {})
        state_is_said = any(phrase in text for phrases in ways.values() for phrase in phrases)
        return variable if state_is_said else replace(variable, state=None)

    return replace(caption.meaning, things=tuple(map(said, caption.meaning.things)))


def _agreement(scenes: list[Scene], captions: list[Caption]) -> tuple[float, list[str]]:
    """Return the share of the texts that are understood, and those with another truth than their meaning."""
    parsed = [(caption, meaning) for caption in captions if (meaning := parse_query(caption.text))]
    ours = SceneRelevance(scenes, [meaning for _, meaning in parsed]).matrix()
    true = SceneRelevance(scenes, [_as_said(caption) for caption, _ in parsed]).matrix()
    wrong = (ours != true).any(0)
    return len(parsed) / len(captions), [c.text for (c, _), each in zip(parsed, wrong, strict=True) if each]


@pytest.mark.parametrize(("slot", "share"), [(0, 0.99), (1, 0.85), (2, 0.98), (3, 0.95), (4, 0.99)])
def test_captions_are_understood(
    slot: int, share: float, scenes: list[Scene], captions: list[list[Caption]]
) -> None:
    # What is not: "clouds" (the weather or things), "guy in green street" (who or what is green).
    understood, wrong = _agreement(scenes, [said[slot] for said in captions])
    assert understood >= share
    assert wrong == []


@pytest.fixture(scope="module")
def queries(scenes: list[Scene]) -> list[Caption]:
    """Typed queries and their false variants, without typos."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typed, "_with_typo", lambda text, style: text)
        made = [
            query
            for scene in scenes
            for query in typed_queries(SceneFacts(scene), np.random.default_rng(scene.seed), 1)
        ]
    return [caption for query in made for caption in (query.query, *query.false)]


def test_typed_queries_are_understood(scenes: list[Scene], queries: list[Caption]) -> None:
    understood, wrong = _agreement(scenes, queries)
    assert len(queries) > 1000
    assert understood > 0.96
    assert wrong == []


def test_the_names_of_kinds_are_understood(scenes: list[Scene]) -> None:
    assert _agreement(scenes, kind_queries()) == (1, [])


def test_queries_written_by_people_are_understood() -> None:
    written = yaml.safe_load(WRITTEN.read_text("utf-8"))["written"]
    for kind, entries in written.items():
        for text, entry in entries.items():
            things = tuple(Variable(**each) for each in entry.get("things", ()))
            relations = tuple(Relation(*each) for each in entry.get("relations", ()))
            setting = {name: entry[name] for name in ("place", "time", "weather") if name in entry}
            expected = None if kind == "typo" else Meaning(things, relations, **setting)
            assert parse_query(text) == expected, text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Two dogs at the beach!", "2 dogs beach"),
        ("photo of a cat asleep on the couch", "sleeping cat on a sofa"),
        ("man with a dog", "a dog and a man"),
        ("beach -people", "no people at the beach"),
        ("a dog & a cat", "cat, dog"),
        ("rainy street", "on a city street in the rain"),
        ("on a cloudy beach", "beach cloudy"),
        ("the beach at night", "at night on a beach"),
        ("no dogs or cats", "no cats, no dogs"),
        (
            "there is a dog left of a car. Behind the car is a tree",
            "a dog left of a car. A tree is behind the car",
        ),
        ("boy standing in red", "a boy in red standing"),
        ("cat on a sofa sleeping", "cat sleeping on a sofa"),
        ("birds in the sky", "flying birds"),
        ("snowman with red scarf", "a snowman wearing a red scarf"),
        ("exactly two dogs", "2 dogs"),
        ("at least two dogs", "dogs"),
        ("hot air balloon", "hot-air balloon"),
        ("ONE DOG", "a single dog"),
    ],
)
def test_two_ways_to_say_the_same(text: str, same: str, scenes: list[Scene]) -> None:
    meanings = parse_query(text), parse_query(same)
    assert all(meanings)
    truth = SceneRelevance(scenes, [meaning for meaning in meanings if meaning]).matrix()
    assert (truth[:, 0] == truth[:, 1]).all()


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ".", "and", "the", "red", "2", "no", "without", "left of", "a dog is", "unicorn",
        "a dog and a unicorn", "red caar", "a dog is not black", "dogs are cats", "not a dog",
        "a black and white cat", "light blue car", "many dogs", "several dogs", "a dogs", "one dogs",
        "dog sleeping cat", "dog and cat sleeping", "dog and cat on a sofa", "a boy and a girl running",
        "a dog next to a cat and a tree", "no dog and cat", "without dogs, cat", "no cat on the sofa",
        "a dog next to no cat", "man in blue car", "boy in red playground", "a red woman",
        "a tree standing in a meadow", "apples on the kitchen table", "clouds", "no clouds", "snow",
        "apple tree", "beach forest", "night daytime", "a dog in the dog", "dog or cat", "<b>dog</b>",
        "dog's ball", "狗", "dog\N{DOG FACE}", "dog; drop table", "dog " * (MOST_WORDS + 1), "a" * 10_000,
    ],
)  # fmt: skip
def test_a_text_without_exactly_one_meaning_has_none(text: str) -> None:
    assert parse_query(text) is None


@pytest.mark.parametrize(
    "text", ["dog sleeping " * 60 + "the", "clouds " * 60 + "the", "orange " * 100, ", " * 99]
)
@pytest.mark.timeout(2)
def test_many_readings_take_no_time(text: str) -> None:
    assert parse_query(text) is None
