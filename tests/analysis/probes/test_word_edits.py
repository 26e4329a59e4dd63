"""Edits of any caption by word lists."""

import doctest

import numpy as np
import pytest

from analysis.lexicon import content
from analysis.probes import word_edits as module
from analysis.probes.word_edits import compared, negated, object_words, word_edits


def edits(caption: str, **options: list[str]) -> dict[str, set[str]]:
    """All that a hundred draws make of a caption, by sort."""
    found: dict[str, set[str]] = {}
    for seed in range(100):
        for sort, before, after in word_edits(caption, np.random.default_rng(seed), **options):
            assert before == caption or sort == "without"
            found.setdefault(sort, set()).add(after)
    return found


def test_examples_hold() -> None:
    assert doctest.testmod(module).failed == 0


def test_colours_are_swapped_for_other_colours_and_articles_follow() -> None:
    made = edits("An orange cat on a red chair")["swap attribute"]
    assert {"A blue cat on a red chair", "An orange cat on a green chair"} <= made
    assert not any("red cat" in each or "orange chair" in each for each in made)  # the caption has said so
    assert "An orange cat on an orange chair" not in made
    assert all(len(content(each).values) == 2 for each in made)


def test_numbers() -> None:
    assert edits("Two dogs near three cats")["change count"] == {
        f"{first} dogs near three cats" for first in ("Four", "Five")
    } | {f"Two dogs near {other} cats" for other in ("four", "five")}
    assert "change count" not in edits("this one is mine")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a dog in front of a tree", "a dog behind a tree"),
        ("Behind a tree, a dog", "In front of a tree, a dog"),
        ("the man on the left", "the man on the right"),
        ("a boy leftover", None),
    ],
)
def test_relations(before: str, after: str | None) -> None:
    assert edits(before).get("swap relation", {None}) == {after}


def test_objects_are_swapped_for_what_no_caption_of_the_image_names() -> None:
    objects = ["dog", "cat", "elephant", "dogs", "boats", "lawn"]
    made = edits("A dog on the lawn", objects=objects, told=["a cat sleeps"])
    assert made["swap object"] == {"An elephant on the lawn", "A dog on the elephant"}
    assert edits("two dogs", objects=objects)["swap object"] == {"two boats"}
    assert "swap object" not in edits("a dog")


def test_negations() -> None:
    made = edits("A dog on the lawn.", objects=["dog", "cat", "elephant"], told=["a cat and a dog"])
    assert made["negate"] == {"No dog on the lawn."}
    assert made["without"] == {"A dog on the lawn without a cat"}
    pairs = word_edits(
        "A dog.", np.random.default_rng(0), objects=["cat", "elephant"], told=["a cat and a dog"]
    )
    assert ("without", "A dog without an elephant", "A dog without a cat") in pairs
    assert list(negated("Dogs run")) == []


def test_what_captions_call_things() -> None:
    captions = [
        "a young dog runs on a green lawn",
        "the dog is with two men",
        "two dogs",
        "a young boy jumping",
    ]
    assert object_words(captions) == ["dog", "lawn", "men", "dogs", "boy"]
    assert object_words(captions, most=1) == ["dog"]
    assert object_words(["a person", "it is there", ""]) == []


@pytest.mark.parametrize(
    ("before", "after", "runs"),
    [
        ("a red car", "a blue car", "kept:a gone:red new:blue kept:car"),
        ("a car at night", "a car", "kept:a car gone:at night"),
        ("a car", "a car at night", "kept:a car new:at night"),
        ("a dog", "a dog", "kept:a dog"),
        ("", "dog", "new:dog"),
    ],
)
def test_words_that_changed(before: str, after: str, runs: str) -> None:
    assert " ".join(":".join(run) for run in compared(before, after)) == runs


def test_what_is_kept_and_gone_is_before_and_what_is_kept_and_new_is_after() -> None:
    words = list("abcd")
    rng = np.random.default_rng(0)
    for _ in range(200):
        before, after = (" ".join(rng.choice(words, rng.integers(0, 7))) for _ in range(2))
        runs = compared(before, after)
        assert " ".join(text for what, text in runs if what != "new") == before
        assert " ".join(text for what, text in runs if what != "gone") == after
