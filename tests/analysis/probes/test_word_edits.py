"""Edits of captions by word lists."""

import numpy as np
import pytest

from analysis.lexicon import content
from analysis.probes.word_edits import MOST_CAPTIONS, negated, object_words, word_diff, word_edits


def edits(caption: str, **options: list[str]) -> dict[str, set[str]]:
    """Return the edits of a hundred draws by kind."""
    found: dict[str, set[str]] = {}
    for seed in range(100):
        for kind, before, after in word_edits(caption, np.random.default_rng(seed), **options):
            assert before == caption or kind == "without"
            found.setdefault(kind, set()).add(after)
    return found


def test_colours_are_swapped_for_other_colours_with_the_right_article() -> None:
    made = edits("An orange cat on a red chair")["swap attribute"]
    assert {"A blue cat on a red chair", "An orange cat on a green chair"} <= made
    assert not any(
        "red cat" in each or "orange chair" in each for each in made
    )  # colours of the caption are not swapped in
    assert "An orange cat on an orange chair" not in made
    assert all(len(content(each).values) == 2 for each in made)


def test_numbers_are_swapped_for_other_numbers() -> None:
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
def test_relations_are_reversed(before: str, after: str | None) -> None:
    assert edits(before).get("swap relation", {None}) == {after}


def test_objects_are_swapped_for_objects_that_no_caption_of_the_image_names() -> None:
    objects = ["dog", "cat", "elephant", "dogs", "boats", "lawn"]
    made = edits("A dog on the lawn", objects=objects, captions=["a cat sleeps"])
    assert made["swap object"] == {"An elephant on the lawn", "A dog on the elephant"}
    assert edits("two dogs", objects=objects)["swap object"] == {"two boats"}
    assert "swap object" not in edits("a dog")


def test_negations_deny_an_object_or_add_without() -> None:
    made = edits("A dog on the lawn.", objects=["dog", "cat", "elephant"], captions=["a cat and a dog"])
    assert made["negate"] == {"No dog on the lawn."}
    assert made["without"] == {"A dog on the lawn without a cat"}
    pairs = word_edits(
        "A dog.", np.random.default_rng(0), objects=["cat", "elephant"], captions=["a cat and a dog"]
    )
    assert ("without", "A dog without an elephant", "A dog without a cat") in pairs
    assert list(negated("Dogs run")) == []


def test_object_words_are_the_last_words_of_noun_phrases() -> None:
    captions = [
        "a young dog runs on a green lawn",
        "the dog is with two men",
        "two dogs",
        "a young boy jumping",
    ]
    assert object_words(captions) == ["dog", "lawn", "men", "dogs", "boy"]
    assert object_words(captions, most=1) == ["dog"]
    assert object_words(["a person", "it is there", ""]) == []


def test_object_words_of_many_captions_take_the_time_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    tagged: list[str] = []

    def nouns(caption: str) -> tuple[str, ...]:
        tagged.append(caption)
        return ("dog",)

    monkeypatch.setattr("analysis.probes.word_edits.nouns", nouns)
    assert object_words(["a dog"] * (MOST_CAPTIONS + 5)) == ["dog"]
    assert len(tagged) == MOST_CAPTIONS


@pytest.mark.parametrize(
    ("before", "after", "runs"),
    [
        ("a red car", "a blue car", "kept:a removed:red added:blue kept:car"),
        ("a car at night", "a car", "kept:a car removed:at night"),
        ("a car", "a car at night", "kept:a car added:at night"),
        ("a dog", "a dog", "kept:a dog"),
        ("", "dog", "added:dog"),
    ],
)
def test_word_diff_of_examples(before: str, after: str, runs: str) -> None:
    assert " ".join(":".join(run) for run in word_diff(before, after)) == runs


def test_word_diff_contains_both_texts() -> None:
    words = list("abcd")
    rng = np.random.default_rng(0)
    for _ in range(200):
        before, after = (" ".join(rng.choice(words, rng.integers(0, 7))) for _ in range(2))
        runs = word_diff(before, after)
        assert " ".join(text for change, text in runs if change != "added") == before
        assert " ".join(text for change, text in runs if change != "removed") == after
