"""The noise band: two seeds are seldom called different, two methods often."""

import numpy as np
import pytest

from analysis.comparison.agreement import rank_biased_overlap
from analysis.comparison.noise import NoiseBand

IMAGES, DIM, DEPTH = 150, 24, 20
RNG = np.random.default_rng(0)
WORDS = ["dog", "cat", "red", "blue", "house", "tree", "beach", "night"]


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


IMAGES_OF_WORLD = RNG.normal(size=(IMAGES, DIM))


def queries(count: int) -> tuple[list[str], np.ndarray]:
    """Return texts of 1 to 12 words, and embeddings that are the vaguer the fewer words there are."""
    length = RNG.integers(1, 13, count)
    texts = [" ".join(RNG.choice(WORDS, each)) for each in length]
    return texts, IMAGES_OF_WORLD[RNG.integers(IMAGES, size=count)] * length[:, None] / 6


def rankings(embeddings: np.ndarray, noise: float) -> np.ndarray:
    """Return the first images (q, 20) of a model: the world, seen through noise of its own seed."""
    images = unit(IMAGES_OF_WORLD + noise * RNG.normal(size=IMAGES_OF_WORLD.shape))
    texts = unit(embeddings + noise * RNG.normal(size=embeddings.shape))
    return np.argsort(-texts @ images.T, axis=1)[:, :DEPTH]


def test_of_200_queries_at_most_5_percent_call_two_seeds_different() -> None:
    texts, embeddings = queries(4_000)
    band = NoiseBand.of(rankings(embeddings, 0.3), rankings(embeddings, 0.3), texts)
    shares = []
    for _ in range(10):
        new, seen = queries(200)
        agreement = rank_biased_overlap(rankings(seen, 0.3), rankings(seen, 0.3))
        shares.append(np.mean([band.differs(*each) for each in zip(new, agreement.tolist(), strict=True)]))
    assert sum(share > 0.05 for share in shares) <= 1
    assert np.mean(shares) == pytest.approx(0.03, abs=0.015)


def test_a_worse_model_is_called_different() -> None:
    texts, embeddings = queries(2_000)
    good = rankings(embeddings, 0.3)
    band = NoiseBand.of(good, rankings(embeddings, 0.3), texts)
    agreement = rank_biased_overlap(good, rankings(embeddings, 1.5))
    assert np.mean([band.differs(*each) for each in zip(texts, agreement.tolist(), strict=True)]) > 0.5


def test_short_queries_may_agree_less() -> None:
    texts, embeddings = queries(4_000)
    band = NoiseBand.of(rankings(embeddings, 0.3), rankings(embeddings, 0.3), texts)
    assert band.limit("dog") < band.limit("a red house by a tree at the beach at night with one dog")
    assert band.limit("") == band.limit("dog")


def test_with_few_queries_nothing_is_called_different() -> None:
    band = NoiseBand.of(np.zeros((20, 1), int), np.ones((20, 1), int), ["two words"] * 20)
    assert not band.differs("two words", 0.0)


def test_a_band_needs_a_text_for_each_ranking() -> None:
    with pytest.raises(ValueError, match="2 rankings for 1 queries"):
        NoiseBand.of(np.zeros((2, 3), int), np.zeros((2, 3), int), ["a dog"])
