"""Recall by query length against plain loops, and the calls of the encoder."""

import numpy as np
import pandas as pd
import pytest

from analysis import query_length
from analysis.query_length import by_length, truncated
from itr_core.metrics import ranks
from itr_core.metrics.bootstrap import image_bootstrap

WORDS = ["a", "red", "blue", "dog", "cat", "car", "on", "in", "the", "beach", "night"]


def world(images: int, each: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    image_of_caption = np.repeat(np.arange(images), each)
    captions = [" ".join(rng.choice(WORDS, rng.integers(1, 31))) for _ in image_of_caption]
    return captions, image_of_caption


def bag(texts: list[str]) -> np.ndarray:
    """Return bags of words as unit vectors."""
    counts = np.array([[text.split().count(word) for word in WORDS] for text in texts], dtype=np.float32)
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def test_each_query_is_in_one_bucket_and_each_bucket_has_its_recall() -> None:
    captions, image_of_caption = world(300, 4)
    rng = np.random.default_rng(1)
    place, true = rng.integers(1, 15, len(captions)).astype(float), rng.integers(1, 99, len(captions))
    table = by_length(place, captions, image_of_caption, true_images=true)
    assert table.bucket.tolist() == ["1-2", "3-4", "5-8", "9-10", "11-12", "13-15", "16-24", "25+"]
    assert table.queries.sum() == len(captions)
    row = table.iloc[2]
    chosen = [i for i, caption in enumerate(captions) if 5 <= len(caption.split()) <= 8]
    assert row.queries == len(chosen)
    for k in (1, 5, 10):
        hits = 100.0 * (place[chosen] <= k)
        assert row[f"r{k}"] == pytest.approx(sum(hits) / len(chosen))
        _, image = np.unique(image_of_caption[chosen], return_inverse=True)
        assert (row[f"r{k}_low"], row[f"r{k}_high"]) == image_bootstrap(hits, image, image.max() + 1)
        assert row[f"r{k}_low"] < row[f"r{k}"] < row[f"r{k}_high"]
    assert row.median_rank == np.median(place[chosen])
    assert row.true_images == pytest.approx(np.mean(true[chosen]))
    assert by_length(place, captions, image_of_caption).true_images.isna().all()


def test_the_bootstrap_draws_images_not_captions() -> None:
    captions, image_of_caption = ["a dog"] * 1000, np.repeat(np.arange(100), 10)
    place = np.where(image_of_caption % 2, 1.0, 9.0)  # all ten captions of an image hit, or none
    together = by_length(place, captions, image_of_caption).iloc[0]
    apart = by_length(place, captions, np.arange(1000)).iloc[0]
    ratio = (together.r1_high - together.r1_low) / (apart.r1_high - apart.r1_low)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.15)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({1: 40, 3: 40}, {"1-2": 40, "3-4": 40}),
        ({1: 5, 3: 40}, {"1-4": 45}),  # merged with the next longer bucket
        ({3: 40, 14: 5}, {"3-15": 45}),  # the last bucket, merged with the one before
        ({3: 40, 14: 29, 60: 29}, {"3-4": 40, "13+": 58}),
        ({2: 3}, {"1-2": 3}),
        ({0: 30, 60: 30}, {"1-2": 30, "25+": 30}),
    ],
)
def test_small_buckets_are_merged(counts: dict[int, int], expected: dict[str, int]) -> None:
    captions = [" ".join(["dog"] * words) for words, queries in counts.items() for _ in range(queries)]
    table = by_length(np.ones(len(captions)), captions, np.arange(len(captions)))
    assert dict(zip(table.bucket, table.queries, strict=True)) == expected


def test_truncated_queries_are_the_first_words_and_ranks_are_the_usual_ones() -> None:
    captions, image_of_caption = world(30, 2)
    images = bag(captions[::2])
    done: list[tuple[int, int]] = []
    table = truncated(
        bag, images, captions, image_of_caption, max_words=12, progress=lambda at, of: done.append((at, of))
    )
    assert table.words.tolist() == list(range(1, 13))
    assert done == [(length, 12) for length in range(1, 13)]
    for length in (1, 5, 12):
        short = [" ".join(caption.split()[:length]) for caption in captions]
        place, _ = ranks(images @ bag(short).T, image_of_caption)
        row = table.set_index("words").loc[length]
        assert row.queries == len(captions)
        assert row.r1 == pytest.approx(100 * np.mean(place <= 1))
        assert row.r10 == pytest.approx(100 * np.mean(place <= 10))
        assert row.median_rank == np.median(place)
        same = [
            len({o for text, o in zip(short, image_of_caption, strict=True) if text == one}) for one in short
        ]
        assert row.sharing == pytest.approx(np.mean(same))


def test_the_last_length_is_that_of_the_longest_caption() -> None:
    captions, image_of_caption = ["red dog", "a blue cat on"], np.arange(2)
    table = truncated(bag, bag(captions), captions, image_of_caption)
    assert table.words.tolist() == [1, 2, 3, 4]
    assert table.r1.iloc[-1] == 100
    assert table.sharing.iloc[-1] == 1


def test_each_distinct_text_is_encoded_once() -> None:
    calls: list[list[str]] = []

    def encode(texts: list[str]) -> np.ndarray:
        calls.append(texts)
        return bag(texts)

    captions = ["a dog", "a cat", "a dog"]
    truncated(encode, bag(captions), captions, np.arange(3))
    assert calls == [["a"], ["a cat", "a dog"]]


def test_many_captions_are_sampled_but_all_images_are_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    captions, image_of_caption = world(200, 2)
    images = bag(captions[::2])
    whole = truncated(bag, images, captions, image_of_caption, max_words=6)
    monkeypatch.setattr(query_length, "MAX_QUERIES", 150)
    some, same, other = (
        truncated(bag, images, captions, image_of_caption, max_words=6, seed=s) for s in (0, 0, 1)
    )
    assert (some.queries == 150).all()
    pd.testing.assert_frame_equal(some, same)
    assert not some.equals(other)
    assert (abs(some.r10 - whole.r10) < 12).all()  # 4 standard errors
    assert some.median_rank.iloc[0] > 20  # among 200 images, not among those of the sample
    assert some.sharing.iloc[0] == pytest.approx(whole.sharing.iloc[0], rel=0.3)


def test_an_exception_of_progress_ends_the_work() -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        truncated(bag, bag(["a dog"]), ["a dog"], np.zeros(1, np.int64), progress=stop)


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="1 captions, 2 ranks and 1 image rows"):
        by_length(np.ones(2), ["a dog"], np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="0 captions, 0 ranks"):
        by_length(np.ones(0), [], np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="1 captions and 2 image rows"):
        truncated(bag, bag(["a dog"]), ["a dog"], np.zeros(2, np.int64))
