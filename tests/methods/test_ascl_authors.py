"""AsCL equals the authors' code on fixed inputs.

The numbers are the output, in float64, of `NTxent_Loss_v2`, `xattn_score_i2t`, `xattn_score_t2i` and
`func_attention` of model.py in github.com/Gzy1112/ACF-R- (2af47d5), the code of the extension of AsCL. Words
are given with unit norm, because Pairscope normalises them.
"""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from itr_core.batch import EncoderOutput, PairBatch, TextOutput
from itr_core.encoders.token_similarity import local_similarity
from itr_core.methods.ascl import AsCL

PAIRS, PATCHES, WORDS, DIM = 3, 4, 5, 16
LENGTHS = torch.tensor([5, 3, 4])
HEADS = 8
"""Attention heads of the authors' code."""


def waves(*shape: int, phase: float) -> Tensor:
    n = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return torch.sin(phase + 0.37 * n**2).reshape(shape)


def fixed_inputs() -> EncoderOutput:
    image, patches = waves(PAIRS, DIM, phase=0.1), waves(PAIRS, PATCHES, DIM, phase=2.3)
    words, noised = waves(PAIRS, WORDS, DIM, phase=3.1), waves(PAIRS, WORDS, DIM, phase=4.7)
    words[:, :PATCHES] += 0.5 * patches
    noised[:, :PATCHES] += 0.3 * patches
    mask = torch.arange(WORDS) < LENGTHS[:, None]
    return EncoderOutput(
        image=image,
        text=waves(PAIRS, DIM, phase=0.7) + image,
        logit_scale=torch.tensor(10.0, dtype=torch.float64),
        image_tokens=patches,
        text_tokens=words,
        text_mask=mask,
        positive=TextOutput(waves(PAIRS, DIM, phase=5.3) + image, waves(PAIRS, WORDS, DIM, phase=6.1), mask),
        negative=TextOutput(waves(PAIRS, DIM, phase=1.9) + 0.8 * image, noised, mask),
    )


def batch() -> PairBatch:
    return PairBatch(torch.zeros(PAIRS, 1, dtype=torch.int64), torch.arange(PAIRS), [""] * PAIRS)


def test_local_similarity() -> None:
    out = fixed_inputs()
    assert out.image_tokens is not None
    assert out.text_tokens is not None
    assert out.text_mask is not None
    found = local_similarity(
        normalize(out.image_tokens, dim=-1), normalize(out.text_tokens, dim=-1), out.text_mask, heads=HEADS
    )
    assert found.tolist() == [
        pytest.approx([0.7118341276789599, 0.4003503301603533, 0.3912296364944582], abs=1e-12),
        pytest.approx([0.5202193530831375, 0.6983647390404146, 0.4109812598024366], abs=1e-12),
        pytest.approx([0.37815699546021153, 0.33490952899457116, 0.6375139908665057], abs=1e-12),
    ]


def test_both_losses_with_the_local_similarity() -> None:
    """Of the T- of L_II&III, the authors' filter sets four scores to 0."""
    method = AsCL(u1=0.8, tau=0.1, heads=HEADS, w_i=0.4, w_pos=0.6)
    terms = method(fixed_inputs(), batch())
    assert terms["ascl_i"].item() == pytest.approx(0.23698042373899217, abs=1e-12)
    assert terms["ascl_ii_iii"].item() == pytest.approx(2.0624420396047185, abs=1e-12)
    total = sum(method.weights[name] * term.item() for name, term in terms.items())
    assert total == pytest.approx(1.3322573932584278, abs=1e-12)


def test_loss_of_the_global_similarity_alone() -> None:
    terms = AsCL(u1=0.0, tau=0.1)(fixed_inputs(), batch())
    assert terms["ascl_i"].item() == pytest.approx(0.024781194119594813, abs=1e-12)
