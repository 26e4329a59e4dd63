"""Training a tokenizer, splitting a text at the context length, and splitting it into words."""

import random

import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

from itr_core.encoders import tokenizer
from itr_core.encoders.tokenizer import special_ids, split_at_context
from itr_core.vocabulary import words_of

CAPTIONS = [
    "a brown dog runs on the beach at night", "two red cars and a small house by the river",
    "The cat's asleep under a tree, near 3 ducks!",
] * 20  # fmt: skip
TRAINED = tokenizer.train(CAPTIONS, vocab_size=500, context_length=16)
CLIP = open_clip.get_tokenizer("ViT-B-32", context_length=16)
PAD, START, END = 0, 1, len(TRAINED.tokenizer) - 1


def test_ids_are_start_words_end_padding() -> None:
    ids = TRAINED(["dog", "", "dog " * 50])
    assert ids.shape == (3, 16)
    assert ids.dtype == torch.int64
    dog = int(ids[0, 1])
    assert ids[0].tolist() == [START, dog, END] + [PAD] * 13
    assert ids[1].tolist() == [START, END] + [PAD] * 14
    assert ids[2].tolist() == [START] + [dog] * 14 + [END]
    assert ids.argmax(dim=1).tolist() == [2, 1, 15]  # CLIP pools this position
    assert special_ids(TRAINED) == ([START, END, PAD], END)


def test_a_word_has_the_same_id_at_every_position() -> None:
    assert TRAINED(["Dog"])[0, 1] == TRAINED(["a dog"])[0, 2] == TRAINED(["a  DOG"])[0, 2]
    assert torch.equal(TRAINED(["ﬁne ｄｏｇ"]), TRAINED(["fine dog"]))  # NFKC


def test_training_is_repeatable_and_limits_the_vocabulary() -> None:
    again = tokenizer.train(CAPTIONS, vocab_size=500, context_length=16)
    assert again.tokenizer.get_vocab() == TRAINED.tokenizer.get_vocab()
    small = tokenizer.train(CAPTIONS, vocab_size=270, context_length=16)
    assert len(small.tokenizer) == 270
    assert small(["dog"]).max() == 269


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_every_text_can_be_encoded_and_decoded(text: str) -> None:
    ids = TRAINED([text])[0]
    assert ids[0] == START
    assert (ids == END).sum() >= 1
    inside = TRAINED.tokenizer.decode(TRAINED.tokenizer(text.lower()).input_ids, skip_special_tokens=True)
    if "<" not in text:  # '<pad>' in a text is read as the special token
        normal = TRAINED.tokenizer.backend_tokenizer.normalizer.normalize_str(text.lower())
        assert inside.removeprefix(" ") == normal.removeprefix(" ")


@pytest.mark.parametrize("tokens", [TRAINED, CLIP], ids=["trained", "clip"])
def test_split_at_context_keeps_the_words_that_fit(tokens: HFTokenizer | SimpleTokenizer) -> None:
    rng = random.Random(0)
    for _ in range(60):
        text = " ".join(rng.choice(["dog", "runs!", "beach-side", "Café", "🐶", "a"]) for _ in range(20))
        kept, lost = split_at_context(tokens, text)
        assert kept + lost == text
        assert lost.startswith(" ")
        read = tokens([text])[0]
        whole = tokens([kept])[0]
        length = int((whole == whole.max()).nonzero()[0])
        assert torch.equal(read[:length], whole[:length])
        longer = f"{kept} {lost.split()[0]}"  # with one more word, the text is truncated
        assert not torch.equal(tokens([longer], 32)[0, :16], tokens([longer], 16)[0])


@pytest.mark.parametrize("tokens", [TRAINED, CLIP], ids=["trained", "clip"])
def test_split_at_context_of_special_texts(tokens: HFTokenizer | SimpleTokenizer) -> None:
    for text in ("", "   ", "a dog", "a " * 14):
        assert split_at_context(tokens, text) == (text, "")
    assert split_at_context(tokens, "a " * 15) == ("a " * 13 + "a", " a ")
    kept, lost = split_at_context(tokens, "x" * 500 + " dog")
    assert 0 < len(kept) < 500
    assert kept + lost == "x" * 500 + " dog"
    tiny = open_clip.get_tokenizer("ViT-B-32", context_length=3)
    assert split_at_context(tiny, "🧑‍🚀") == ("", "🧑‍🚀")


def test_words_of_a_text() -> None:
    assert words_of("Two dogs' toys; it’s RED, ｗｉｄｅ_2") == [
        "two",
        "dogs",
        "toys",
        "it’s",
        "red",
        "wide_2",
    ]
    assert words_of(" … ") == []
