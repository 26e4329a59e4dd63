"""Block-wise InfoNCE: the same values as the plain form, in memory linear in the batch."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from itr_core.methods.components import info_nce
from itr_core.methods.components.info_nce import block_info_nce, symmetric_info_nce

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def rows(n: int, dtype: torch.dtype = torch.float64, d: int = 6, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, d, dtype=dtype, generator=generator) for _ in range(2)]


def by_blocks(block: int) -> Loss:
    return partial(block_info_nce, block=block)


def loss_and_gradients(loss: Loss, inputs: list[Tensor], ids: Tensor) -> list[Tensor]:
    leaves = [value.clone().requires_grad_() for value in (*inputs, inputs[0].new_tensor(14.3))]
    image, text, scale = leaves
    value = loss(image, text, scale, ids)
    return [value.detach(), *torch.autograd.grad(value, leaves)]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(1, 13), st.integers(0, 999))
def test_blocks_of_any_size_give_the_plain_loss_and_gradients(ids: list[int], block: int, seed: int) -> None:
    inputs, image_id = rows(len(ids), seed=seed), torch.tensor(ids)
    plain = loss_and_gradients(symmetric_info_nce, inputs, image_id)
    for mine, theirs in zip(loss_and_gradients(by_blocks(block), inputs, image_id), plain, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=1e-12)


def test_in_single_precision_the_difference_is_rounding() -> None:
    inputs, image_id = rows(300, torch.float32, d=32), torch.arange(300) // 3  # the last block holds 44
    plain = loss_and_gradients(symmetric_info_nce, inputs, image_id)
    for mine, theirs in zip(loss_and_gradients(by_blocks(64), inputs, image_id), plain, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-6)


def test_gradient_of_blocks() -> None:
    image, text = (value.requires_grad_() for value in rows(5, d=3))
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    ids = torch.tensor([0, 0, 1, 2, 3])
    assert torch.autograd.gradcheck(
        lambda v, t, s: block_info_nce(v, t, s, ids, block=2), (image, text, scale)
    )


def test_a_block_with_captions_of_one_image_only_is_finite() -> None:
    image, text = (value.requires_grad_() for value in rows(4))
    block_info_nce(image, text, 5.0, torch.tensor([8, 8, 8, 8]), block=2).backward()
    assert image.grad is not None
    assert not image.grad.abs().max() > 1e-15  # there are no negatives


def saved_bytes(loss: Loss, n: int) -> int:
    """Bytes that autograd stores for a loss of n rows; each storage counts once."""
    kept: dict[int, Tensor] = {}

    def keep(value: Tensor) -> Tensor:
        kept[value.untyped_storage().data_ptr()] = value
        return value

    image, text = (value.requires_grad_() for value in rows(n, torch.float32, d=64))
    scale = torch.tensor(14.3, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        held = loss(image, text, scale, torch.arange(n))
    assert held.requires_grad
    return sum(value.untyped_storage().nbytes() for value in kept.values())


def test_memory_is_linear_with_blocks_and_quadratic_without() -> None:
    plain = [saved_bytes(symmetric_info_nce, n) for n in (2048, 4096)]
    blocks = [saved_bytes(block_info_nce, n) for n in (2048, 4096)]
    assert plain[1] / plain[0] == pytest.approx(4, rel=0.1)
    assert blocks[1] / blocks[0] <= 2.2
    assert blocks[1] < plain[1] / 20


def test_large_batches_are_computed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(info_nce, "LARGE", 300)
    assert saved_bytes(symmetric_info_nce, 300) == pytest.approx(
        saved_bytes(symmetric_info_nce, 298), rel=0.03
    )
    assert saved_bytes(symmetric_info_nce, 301) < saved_bytes(symmetric_info_nce, 300) / 2
    image, text = rows(301)
    many, few = (loss(image, text, 14.3, torch.arange(301)) for loss in (symmetric_info_nce, block_info_nce))
    assert many == few
