"""Batches: every image once in an epoch, no image twice in a batch, the same from anywhere."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from itr_core.errors import SourceError
from itr_core.features.image_rows import StoredImages, identity_collate
from itr_core.training.batches import EpochPlan, PairBatchDataset, drop_words

CAPTIONS = [[f"image {row} text {k}" for k in range(1 + row % 5)] for row in range(20)]


def tokenizer(texts: list[str]) -> torch.Tensor:
    return torch.tensor([[ord(letter) for letter in text.ljust(20)[:20]] for text in texts])


def batches(**options: float) -> PairBatchDataset:
    images = StoredImages(np.arange(20, dtype=np.float32)[:, None], {})
    return PairBatchDataset(images, CAPTIONS, tokenizer, EpochPlan(np.arange(20), 6, seed=3), **options)  # type: ignore[arg-type]


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 5))
def test_an_epoch_shows_no_image_twice_and_drops_only_the_remainder(n: int, size: int, seed: int) -> None:
    rows = np.arange(n) * 7
    plan = EpochPlan(rows, size, seed)
    seen = [plan[number] for number in range(3 * plan.per_epoch)]
    for epoch in range(3):
        shown = np.concatenate([rows for number, rows in seen if number == epoch])
        assert len(set(shown)) == len(shown) >= n - min(n, size) + 1
        assert set(shown) <= set(rows)


def test_epochs_differ_in_order_and_in_captions() -> None:
    plan = EpochPlan(np.arange(100), 100, seed=0)
    assert plan[0][1].tolist() != plan[1][1].tolist()
    some = batches()
    texts = [set(some[number].pairs.captions) for number in range(3 * 5)]
    assert len(set.union(*texts)) > 20  # more captions than images


def test_every_caption_belongs_to_its_row_and_gets_its_turn() -> None:
    seen = set()
    for number in range(300):
        pairs = batches()[number].pairs
        for row, text, value in zip(
            pairs.image_id.tolist(),
            pairs.captions,
            pairs.image_features,
            strict=True,  # type: ignore[arg-type]
        ):
            assert text in CAPTIONS[row]
            assert value.item() == row
            seen.add(text)
    assert seen == {text for texts in CAPTIONS for text in texts}


def test_any_process_makes_the_same_batch() -> None:
    loader = DataLoader(
        batches(word_dropout=0.3),
        sampler=range(4, 9),
        batch_size=None,
        collate_fn=identity_collate,
        num_workers=2,
    )
    here = batches(word_dropout=0.3)
    for number, loaded in zip(range(4, 9), loader, strict=True):
        assert loaded.epoch == here[number].epoch == number // 3
        assert loaded.pairs.captions == here[number].pairs.captions
        assert torch.equal(loaded.pairs.text, here[number].pairs.text)
        assert torch.equal(loaded.pairs.image_features, here[number].pairs.image_features)


def test_several_captions_per_image_are_different_ones_where_there_are_enough() -> None:
    pairs = batches(captions_per_image=3)[0].pairs
    assert len(pairs.captions) == 18
    assert pairs.image_features is not None
    assert len(pairs.image_features) == 6
    for start, row in enumerate(pairs.image_id.tolist()[::3]):
        assert pairs.image_id[3 * start : 3 * start + 3].tolist() == [row] * 3
        texts = pairs.captions[3 * start : 3 * start + 3]
        assert set(texts) <= set(CAPTIONS[row])
        assert len(set(texts)) == min(3, len(CAPTIONS[row])) or len(CAPTIONS[row]) < 3


def test_word_dropout_leaves_its_share_and_never_nothing() -> None:
    random = np.random.default_rng(0)
    text = " ".join(f"w{i}" for i in range(1000))
    kept = drop_words(text, 0.25, random).split()
    assert 700 < len(kept) < 800
    assert [word for word in text.split() if word in set(kept)] == kept
    assert all(drop_words("dog", 0.9, random) == "dog" for _ in range(50))
    assert drop_words("a  b", 0.0, random) == "a  b"


def test_a_batch_without_any_image_is_an_error() -> None:
    class Nothing:
        unusable = {0: "a.jpg: truncated"}  # noqa: RUF012

        def read(self, rows: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
            return torch.empty(0, 1), rows[:0]

    with pytest.raises(SourceError, match=r"a\.jpg: truncated"):
        PairBatchDataset(Nothing(), CAPTIONS, tokenizer, EpochPlan(np.arange(20), 6, 0))[0]
