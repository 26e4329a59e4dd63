"""Batches: every image at most once in an epoch, its own captions, the same batch from every process."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from itr_core.errors import SourceError
from itr_core.features.image_rows import StoredImages
from itr_core.pairs.row_groups import Blocks
from itr_core.system.workers import identity_collate
from itr_core.training.batches import EpochPlan, PairBatchDataset
from itr_core.training.word_dropout import drop_words
from tests.support import present

CAPTIONS = [[f"image {row} text {k}" for k in range(1 + row % 5)] for row in range(20)]


def tokenizer(texts: list[str]) -> torch.Tensor:
    return torch.tensor([[ord(letter) for letter in text.ljust(20)[:20]] for text in texts])


def batches(**options: Any) -> PairBatchDataset:
    images = StoredImages(np.arange(20, dtype=np.float32)[:, None], {})
    return PairBatchDataset(images, CAPTIONS, tokenizer, EpochPlan(np.arange(20), 6, seed=3), **options)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 5))
def test_an_epoch_has_no_image_twice_and_skips_only_the_remainder(n: int, size: int, seed: int) -> None:
    rows = np.arange(n) * 7
    plan = EpochPlan(rows, size, seed)
    seen = [plan[number] for number in range(3 * plan.per_epoch)]
    for epoch in range(3):
        in_epoch = np.concatenate([batch for number, batch in seen if number == epoch])
        assert len(set(in_epoch)) == len(in_epoch) >= n - min(n, size) + 1
        assert set(in_epoch) <= set(rows)


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 4), st.integers(0, 5))
def test_rows_that_are_kept_together_are_in_one_batch(n: int, together: int, blocks: int, seed: int) -> None:
    rows = np.delete(np.arange(n * together), np.arange(5, n * together, 7))  # some are unusable
    plan = EpochPlan(rows, blocks * together, seed, together)
    order = np.concatenate([plan[number][1] for number in range(plan.per_epoch)])
    assert len(set(order)) == len(order)
    whole = np.bincount(rows // together, minlength=n) == together
    of_block = [np.flatnonzero(order // together == block) for block in range(n) if whole[block]]
    assert all((np.diff(places) == 1).all() for places in of_block)
    if len(rows) == n * together and n >= blocks:
        assert all(np.bincount(plan[i][1] // together).max() == together for i in range(plan.per_epoch))


def test_the_order_of_a_seed_stays_as_it_is() -> None:
    assert EpochPlan(np.arange(10) * 3, 10, seed=4)[1][1].tolist() == [
        3 * row for row in np.random.default_rng([4, 1]).permutation(10)
    ]


def test_epochs_differ_in_their_order_and_captions() -> None:
    plan = EpochPlan(np.arange(100), 100, seed=0)
    assert plan[0][1].tolist() != plan[1][1].tolist()
    some = batches()
    texts = [set(some[number].pairs.captions) for number in range(3 * 5)]
    assert len(set.union(*texts)) > 20  # more captions than images


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 4), st.integers(0, 5))
def test_an_epoch_reads_each_block_once(n: int, block: int, together: int, seed: int) -> None:
    of_row = np.arange(n) // block
    rows = np.flatnonzero(np.arange(n) % 5 != 3)  # some are unusable
    plan = EpochPlan(rows, len(rows), seed, read_together=Blocks(of_row, together))
    for epoch in range(2):
        order = plan[epoch][1]
        assert sorted(order) == rows.tolist()
        kept: list[int] = []
        begun = []  # blocks, each time that they are read because they are not kept
        for number in of_row[order].tolist():
            if number not in kept:
                begun.append(number)
                kept = [*kept, number][-2 * together :]
        assert len(begun) == len(set(begun))


def test_blocks_and_their_rows_are_shuffled() -> None:
    plan = EpochPlan(np.arange(1000), 1000, 0, read_together=Blocks(np.arange(1000) // 10, together=5))
    one, other = plan[0][1], plan[1][1]
    assert not np.array_equal(one, other)
    assert np.array_equal(plan[0][1], one)
    blocks = one.reshape(20, 50) // 10
    assert [len(set(some)) for some in blocks.tolist()] == [5] * 20
    assert any(np.diff(sorted(set(some))).max() > 1 for some in blocks.tolist())
    assert all(len(set(some[:10])) > 1 for some in blocks.tolist())  # not one block after the other
    twins = EpochPlan(np.arange(1000), 1000, 0, 2, Blocks(np.arange(1000) // 5, together=3))[0][1]
    assert (twins[::2] % 2 == 0).all()
    assert np.array_equal(twins[1::2], twins[::2] + 1)


def test_every_caption_belongs_to_its_image_and_is_sampled() -> None:
    seen = set()
    for number in range(300):
        pairs = batches()[number].pairs
        features = present(pairs.image_features)
        for row, text, value in zip(pairs.image_id.tolist(), pairs.captions, features, strict=True):
            assert text in CAPTIONS[row]
            assert value.item() == row
            seen.add(text)
    assert seen == {text for texts in CAPTIONS for text in texts}


def test_loader_processes_and_this_process_load_the_same_batches() -> None:
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
        features = present(loaded.pairs.image_features), present(here[number].pairs.image_features)
        assert torch.equal(*features)


def test_captions_of_one_image_differ_if_it_has_enough() -> None:
    pairs = batches(captions_per_image=3)[0].pairs
    assert len(pairs.captions) == 18
    assert len(present(pairs.image_features)) == 6
    for start, row in enumerate(pairs.image_id.tolist()[::3]):
        assert pairs.image_id[3 * start : 3 * start + 3].tolist() == [row] * 3
        texts = pairs.captions[3 * start : 3 * start + 3]
        assert set(texts) <= set(CAPTIONS[row])
        assert len(set(texts)) == 3 or len(CAPTIONS[row]) < 3


def test_word_dropout_removes_its_fraction_and_never_all_words() -> None:
    random = np.random.default_rng(0)
    text = " ".join(f"w{i}" for i in range(1000))
    kept = drop_words(text, 0.25, random).split()
    assert 700 < len(kept) < 800
    assert [word for word in text.split() if word in set(kept)] == kept
    assert all(drop_words("dog", 0.9, random) == "dog" for _ in range(50))
    assert drop_words("a  b", 0.0, random) == "a  b"


def test_a_batch_without_a_readable_image_is_an_error() -> None:
    class Unreadable:
        """Images none of which can be decoded."""

        are_pixels = True

        def __init__(self) -> None:
            self.unusable = {0: "a.jpg: truncated"}

        def read(self, rows: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
            """Return no image."""
            return torch.empty(0, 1), rows[:0]

    with pytest.raises(SourceError, match=r"a\.jpg: truncated"):
        PairBatchDataset(Unreadable(), CAPTIONS, tokenizer, EpochPlan(np.arange(20), 6, 0))[0]
