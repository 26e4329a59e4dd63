"""The momentum queue: a plain deque as reference."""

from collections import deque

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from itr_core.batch import EncoderOutput
from itr_core.methods.components.momentum_queue import MomentumQueue, PairEmbeddings
from tests.support import present


def numbered(start: int, count: int) -> PairEmbeddings:
    """Pairs whose image, text and id contain the number of the pair."""
    ids = torch.arange(start, start + count)
    return PairEmbeddings(ids[:, None].float() * torch.ones(3), -ids[:, None].float() * torch.ones(3), ids)


@given(st.integers(1, 7), st.lists(st.integers(0, 10), max_size=8))
def test_keeps_the_last_pairs_first_in_first_out(size: int, batches: list[int]) -> None:
    dictionary, expected, start = MomentumQueue(size, 3), deque[int](maxlen=size), 0
    for count in batches:
        dictionary.enqueue(numbered(start, count))
        expected.extend(range(start, start + count))
        start += count
        entries = dictionary.entries()
        assert sorted(entries.ids.tolist()) == (list(expected) if len(expected) == size else [])
        assert torch.equal(entries.image[:, 0].long(), entries.ids)  # a pair stays together
        assert torch.equal(-entries.text[:, 2].long(), entries.ids)


def test_a_queue_of_size_zero_stays_empty() -> None:
    dictionary = MomentumQueue(0, 3)
    dictionary.enqueue(numbered(0, 2))
    assert [len(part) for part in dictionary.entries()] == [0, 0, 0]


def test_enqueue_does_not_change_tensors_of_the_backward_pass() -> None:
    dictionary = MomentumQueue(2, 3)
    dictionary.enqueue(numbered(1, 2))
    anchor = torch.ones(3, requires_grad=True)
    loss = (dictionary.entries().image @ anchor).square().sum()
    dictionary.enqueue(numbered(9, 2))
    loss.backward()
    assert torch.equal(present(anchor.grad), torch.full((3,), 2 * (1 * 3 * 1 + 2 * 3 * 2.0)))


def test_state_is_restored() -> None:
    one, other = MomentumQueue(5, 3), MomentumQueue(5, 3)
    one.enqueue(numbered(0, 7))
    other.load_state_dict(one.state_dict())
    for dictionary in (one, other):
        dictionary.enqueue(numbered(7, 2))
    assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))
    assert not list(one.parameters())


def test_pairs_of_a_batch_have_unit_length() -> None:
    image, text = torch.randn(4, 3) * 9, torch.randn(4, 3)
    pairs = PairEmbeddings.of(EncoderOutput(image, text, torch.tensor(1.0)), torch.arange(4))
    torch.testing.assert_close(pairs.image, image / image.norm(dim=1, keepdim=True))
    torch.testing.assert_close(pairs.text.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_followed_by_concatenates_rows(part: int) -> None:
    both: Tensor = numbered(0, 2).followed_by(numbered(5, 3))[part]
    assert torch.equal(both, torch.cat([numbered(0, 2)[part], numbered(5, 3)[part]]))
