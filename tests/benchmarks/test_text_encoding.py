"""benchmarks/text_encoding.py: what is timed."""

from pathlib import Path

from text_encoding import captions, compare

from itr_core import load_encoder


def test_captions_are_different_and_of_ordinary_length() -> None:
    texts = captions(64)
    assert len(set(texts)) == 64
    assert {len(text.split()) for text in texts} <= set(range(8, 15))


def test_both_implementations_give_the_same_embeddings(configs: Path) -> None:
    encoder = load_encoder("tiny/none", device="cpu")
    found = compare(encoder, captions(4), rounds=2)
    assert found["difference"] < 1e-5
    assert found["open_clip"] > 0
    assert found["pairscope"] > 0
