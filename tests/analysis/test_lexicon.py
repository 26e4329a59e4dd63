"""Word lists and the content of captions."""

import pytest

from analysis import lexicon
from analysis.lexicon import content, listed, values
from itr_core.vocabulary import stem


@pytest.mark.parametrize(
    ("caption", "objects"),
    [
        ("A smiling girl in a pink dress", ["girl", "dress"]),
        ("closeup of a whit dog running", ["dog"]),
        ("Two tennis players jumping over a fence", ["players", "fence"]),
        ("A man is riding a skateboard down the ramp.", ["man", "skateboard", "ramp"]),
        ("", []),
    ],
)
def test_only_heads_of_noun_phrases_are_objects(caption: str, objects: list[str]) -> None:
    assert list(content(caption).objects.values()) == objects


def test_no_word_is_in_two_lists() -> None:
    every = [word for texts in lexicon._LISTS.values() for each in texts.split() for word in each.split("/")]
    stems = {word: stem(word) for word in every}
    meanings = {
        (concept, each.split("/")[0]) for concept, texts in lexicon._LISTS.items() for each in texts.split()
    }
    assert {
        values()[stems[word]] for word in every
    } == meanings  # no stem of one word overwrites that of another
    assert len(every) == len(set(every))
    assert listed("colour")[:2] == ["red", "orange"]


@pytest.mark.parametrize(
    ("more", "less", "says"),
    [
        ("Two brown dogs are running on the sand", "dogs running", True),
        ("a dog", "a dog", True),
        ("a dog", "two dogs", False),
        ("three dogs", "two dogs", False),
        ("a grey dog", "a gray dog", True),
        ("a man with a hat", "a man without a hat", False),
        ("a man left of a dog", "a man right of a dog", False),
        ("a dog bites a man", "a man bites a dog", True),  # the order of words does not count
    ],
)
def test_content_of_one_caption_includes_that_of_another(more: str, less: str, says: bool) -> None:
    assert content(more).says(content(less)) is says
