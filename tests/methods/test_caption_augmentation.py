"""Generated captions: every operation follows its rule for all inputs."""

from collections import Counter
from collections.abc import Callable
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from itr_core.methods.components.caption_augmentation import (
    FEATURE_NOISE,
    WordSwapper,
    concat,
    drop,
    insert,
    noise_tokens,
    paraphrase,
    shuffle,
    synonyms_of,
    truncate,
)
from itr_core.vocabulary import stem, words_of
from tests.support import present

WORDS = st.lists(st.sampled_from(["a", "dog", "cat", "runs", "red", "on"]), min_size=1, max_size=12)
SYNONYMS = {"dog": ["puppy", "hound"], "puppy": ["dog"]}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# -- true captions -------------------------------------------------------------------------------------------


def test_concat_draws_two_captions_with_replacement() -> None:
    captions, random = ["A.", "B.", "C."], rng()
    made = Counter(concat(captions, random) for _ in range(900))
    assert made.keys() == {f"{one} {other}" for one in captions for other in captions}
    assert min(made.values()) > 60  # of 100 expected


@settings(deadline=None)
@given(WORDS)
def test_truncate_keeps_the_first_half(words: list[str]) -> None:
    kept = truncate(" ".join(words)).split()
    assert kept == words[: len(kept)]
    assert len(kept) == max(1, len(words) // 2)


@settings(deadline=None)
@given(WORDS, st.integers(0, 99))
def test_paraphrase_changes_a_fifth_of_the_words(words: list[str], seed: int) -> None:
    made = paraphrase(" ".join(words), SYNONYMS, rng(seed)).split()
    touched = max(1, round(0.2 * len(words)))
    lost, new = Counter(words) - Counter(made), Counter(made) - Counter(words)
    if len(made) < len(words):  # words left out
        assert len(made) == max(1, len(words) - touched)
        assert not new
    elif new:  # words replaced
        assert new.total() == lost.total() == min(touched, words.count("dog"))
        assert new.keys() <= {"puppy", "hound"}
        assert lost.keys() == {"dog"}
        assert [a for a, b in zip(words, made, strict=True) if a != b] == ["dog"] * new.total()
    else:  # words exchanged
        moved = sum(a != b for a, b in zip(words, made, strict=True))
        assert moved <= 2 * touched


def test_paraphrase_uses_all_three_operations() -> None:
    random, seen = rng(), set()
    for _ in range(60):
        made = paraphrase("The dog, runs!", SYNONYMS, random).split()
        seen.add(
            "fewer" if len(made) < 3 else "other" if made[1] not in ("dog,", "The", "runs!") else "order"
        )
    assert seen == {"fewer", "other", "order"}
    assert {paraphrase("Dog!", SYNONYMS, random) for _ in range(20)} == {"puppy!", "hound!"}
    assert paraphrase("cat", SYNONYMS, random) == "cat"
    assert paraphrase("", SYNONYMS, random) == ""


def test_synonyms_go_both_ways_and_are_single_words() -> None:
    triples = [("puppy", "Synonym", "dog"), ("hound", "Synonym", "dog"), ("pine tree", "Synonym", "pine")]
    table = synonyms_of([*triples, ("dog", "IsA", "pet")])
    assert table == {"dog": ["puppy", "hound"], "puppy": ["dog"], "hound": ["dog"]}


# -- untrue captions -----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(WORDS, WORDS, st.integers(0, 99))
def test_insert_adds_half_of_another_caption(words: list[str], other: list[str], seed: int) -> None:
    made = insert(" ".join(words), " ".join(other), rng(seed)).split()
    half = truncate(" ".join(other)).split()
    places = range(len(words) + 1)
    assert made in [[*words[:place], *half, *words[place:]] for place in places]


def test_insert_reaches_every_boundary() -> None:
    random = rng()
    assert {insert("a b", "X Y", random) for _ in range(50)} == {"X a b", "a X b", "a b X"}


@settings(deadline=None)
@given(WORDS, st.integers(0, 99))
def test_shuffle_changes_the_order_and_nothing_else(words: list[str], seed: int) -> None:
    made = shuffle(" ".join(words), rng(seed)).split()
    assert Counter(made) == Counter(words)
    assert (made == words) == (len(set(words)) == 1)


@settings(deadline=None)
@given(WORDS, st.integers(0, 99))
def test_drop_leaves_half_of_the_words_in_order(words: list[str], seed: int) -> None:
    numbered = [f"{place}{word}" for place, word in enumerate(words)]
    made = drop(" ".join(numbered), rng(seed)).split()
    assert len(made) == len(words) - len(words) // 2
    assert made == [word for word in numbered if word in made]


CAPTIONS = [
    ["A dog chases a red ball.", "one ball"],
    ["Two puppies sleep on a sofa.", "a sofa"],
    ["The cat jumps.", "a boat", "A red boat!"],
    ["a boat", "some birds"],
]


@settings(deadline=None)
@given(st.integers(0, 3), st.integers(0, 2), st.integers(0, 999))
def test_swap_inserts_a_word_that_no_caption_of_the_image_contains(row: int, place: int, seed: int) -> None:
    swaps = WordSwapper(CAPTIONS, SYNONYMS)
    assume(place < len(CAPTIONS[row]))
    caption = CAPTIONS[row][place]
    before, after = words_of(caption), words_of(swaps(caption, rng(seed)))
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(changed) == 1
    (old, new), *_ = changed
    assert stem(old) in map(stem, swaps.words)
    assert new in swaps.words
    owners = [texts for texts in CAPTIONS if caption in texts]
    said = {stem(word) for text in chain.from_iterable(owners) for word in words_of(text)}
    assert stem(new) not in said
    assert not (new == "puppies" and "dog" in before)


def test_swap_considers_synonyms_and_inflected_forms() -> None:
    captions = [["a dog", "one ball"], ["two puppies", "balls"]]
    swaps = WordSwapper(captions, SYNONYMS)
    assert set(swaps.words) == {"dog", "puppies", "ball"} or set(swaps.words) == {"dog", "puppies", "balls"}
    assert {swaps("a dog", rng(seed)) for seed in range(20)} == {"a dog"}  # puppies are dogs, balls were said
    assert {swaps("a ball", rng(seed)) for seed in range(40)} == {"a dog", "a puppies"}  # of no image


def test_swap_keeps_punctuation_and_unknown_words() -> None:
    swaps = WordSwapper([["A dog, a cat."], ["boats"]], {})
    assert {swaps("A dog, a cat.", rng(seed)) for seed in range(40)} == {"A boats, a cat.", "A dog, a boats."}
    assert swaps("of the and", rng()) == "of the and"
    assert WordSwapper([["a dog"]], {})("a dog", rng()) == "a dog"  # every word there is has been said


def test_operations_repeat_with_the_seed() -> None:
    swaps = WordSwapper(CAPTIONS, SYNONYMS)
    caption = "A dog chases a red ball."
    operations: list[Callable[[np.random.Generator], str]] = [
        lambda random: concat(CAPTIONS[2], random),
        lambda random: paraphrase(caption, SYNONYMS, random),
        lambda random: insert(caption, "two puppies sleep", random),
        lambda random: shuffle(caption, random),
        lambda random: drop(caption, random),
        lambda random: swaps(caption, random),
    ]
    for make in operations:
        assert make(rng(5)) == make(rng(5))
        assert len({make(rng(seed)) for seed in range(20)}) > 1


# -- noise on word tokens ------------------------------------------------------------------------------------


def tokens() -> torch.Tensor:
    return 1 + torch.arange(4 * 50 * 30.0).reshape(4, 50, 30) / 6000


def test_gauss_adds_a_standard_normal() -> None:
    torch.manual_seed(0)
    added = noise_tokens(tokens(), "gauss") - tokens()
    assert added.mean().abs() < 0.05
    assert (added.std() - 1).abs() < 0.05


def test_dropout_drops_half_and_doubles_the_rest() -> None:
    torch.manual_seed(0)
    ratio = noise_tokens(tokens(), "dropout") / tokens()
    assert set(ratio.unique().tolist()) == {0.0, 2.0}
    assert 0.45 < (ratio == 0).float().mean() < 0.55


def test_shuffle_moves_whole_positions_alike_in_every_caption() -> None:
    torch.manual_seed(0)
    noised = noise_tokens(tokens(), "shuffle")
    order = [int((tokens()[0] == row).all(1).nonzero()) for row in noised[0]]
    assert sorted(order) == list(range(50)) != order
    assert torch.equal(noised, tokens()[:, order])


def test_zero_takes_one_feature_or_one_position() -> None:
    torch.manual_seed(0)
    given, kinds = tokens(), set()
    for _ in range(20):
        gone = noise_tokens(given, "zero") == 0
        if gone.sum() == 4 * 50:
            assert gone.all(1).all(0).sum() == 1
            kinds.add("feature")
        else:
            assert gone.sum() == 4 * 30
            assert gone.all(2).all(0).sum() == 1
            kinds.add("position")
    assert kinds == {"feature", "position"}
    assert torch.equal(given, tokens())  # not in place


@pytest.mark.parametrize("operation", FEATURE_NOISE)
def test_noise_lets_gradients_through_and_repeats_with_the_seed(operation: str) -> None:
    given = tokens().requires_grad_()
    torch.manual_seed(3)
    noised = noise_tokens(given, operation)
    noised.sum().backward()
    assert present(given.grad).any()
    torch.manual_seed(3)
    assert torch.equal(noise_tokens(given, operation), noised)


def test_unknown_noise() -> None:
    with pytest.raises(ValueError, match="Unknown noise 'salt'"):
        noise_tokens(tokens(), "salt")
