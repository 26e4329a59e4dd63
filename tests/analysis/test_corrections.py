"""Corrections of queries with unknown words."""

import pytest

from analysis.corrections import Part, corrected
from itr_core.picturebook.phrases import VOCABULARY
from itr_core.vocabulary import nearest_word

WORDS = dict.fromkeys(VOCABULARY, 1)


@pytest.mark.parametrize(
    ("typo", "word"),
    [
        ("elefant", "elephant"), ("caar", "car"), ("buterfly", "butterfly"), ("dgo", "dog"),
        ("shep", "sheep"),
        ("umbrela", "umbrella"), ("penguinn", "penguin"), ("bicylce", "bicycle"), ("hosre", "horse"),
        ("tiger", None), ("playing", None), ("robot", None), ("zebra", None), ("x", None), ("", None),
    ],
)  # fmt: skip
def test_the_word_that_was_probably_meant(typo: str, word: str | None) -> None:
    assert nearest_word(typo, WORDS) == word


def test_of_equally_near_words_the_more_frequent_one_is_meant() -> None:
    assert nearest_word("caat", {"cast": 1, "cart": 5}) == "cart"
    assert nearest_word("caat", {"cast": 5, "cart": 1}) == "cast"


def test_only_unknown_words_are_replaced_and_all_else_is_kept() -> None:
    assert corrected("Two elefants, a red caar!", ["elefants", "caar"], WORDS) == [
        Part("Two ", False),
        Part("elephants", True),
        Part(", a red ", False),
        Part("car", True),
        Part("!", False),
    ]
    assert corrected("two elephants", [], WORDS) == []
    assert corrected("a zebra <b>", ["zebra", "b"], WORDS) == []


def test_in_a_closed_world_a_typo_that_the_model_has_met_is_replaced() -> None:
    assert corrected("a caar", [], WORDS) == []
    assert corrected("a caar", [], WORDS, closed=True) == [Part("a ", False), Part("car", True)]
