"""DCL: known values, explicit sums, and its special cases InfoNCE and MoCo."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from itr_core.methods.components.dcl import SCHEMES, dcl_loss, negative_weights, symmetric_dcl
from itr_core.methods.components.info_nce import symmetric_info_nce
from itr_core.methods.components.momentum_queue import PairEmbeddings
from tests.support import present

POSITIVE = torch.tensor([0.8, 0.6], dtype=torch.float64)
BANK = torch.tensor([[0.3, 0.5, -0.1], [0.0, 0.4, 0.2]], dtype=torch.float64)
ALL = torch.ones(2, 3, dtype=torch.bool)
WEIGHTED = [scheme for scheme in SCHEMES if scheme not in ("none", "hal")]


def some(seed: int, b: int, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines of positives (b,) and negatives (b, n), and the mask of negatives."""
    generator = torch.Generator().manual_seed(seed)
    positive, negatives = (
        2 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1 for shape in ((b,), (b, n))
    )
    return positive, negatives, torch.rand(b, n, generator=generator) < 0.7


def pairs(seed: int, n: int, ids: list[int] | None = None, d: int = 5) -> PairEmbeddings:
    generator = torch.Generator().manual_seed(seed)
    image, text = (
        F.normalize(torch.randn(n, d, generator=generator, dtype=torch.float64), dim=-1) for _ in range(2)
    )
    return PairEmbeddings(image, text, torch.tensor(ids if ids is not None else range(n)))


# -- values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "beta", "expected"),
    [
        ("none", 1.0, 0.10008999),
        ("exp", 0.0, 0.10008999),
        ("zscore", 0.0, 0.10008999),
        ("adaptive_beta", 0.0, 0.10008999),
        ("exp", 5.0, 0.17752839),
        ("zscore", 1.0, 0.18261966),
    ],
)
def test_known_values(scheme: str, beta: float, expected: float) -> None:
    loss = dcl_loss(POSITIVE, BANK, ALL, 0.1, scheme, beta).mean().item()
    assert loss == pytest.approx(expected, abs=1e-8)


def test_known_weights() -> None:
    weights = negative_weights(BANK, ALL, "exp", 5.0)[0].tolist()
    assert weights == pytest.approx([0.778489, 2.116154, 0.105357], abs=1e-6)


def written_out(
    positive: Tensor, negatives: Tensor, negative_mask: Tensor, tau: float, scheme: str, beta: float
) -> list[float]:
    """Compute the formulas of the docstrings for each anchor and negative."""
    own = [[s for s, is_rival in zip(row, mask, strict=True) if is_rival]
           for row, mask in zip(negatives.tolist(), negative_mask.tolist(), strict=True)]  # fmt: skip
    means = [sum(row) / max(len(row), 1) for row in own]
    stds = [
        math.sqrt(sum((s - mean) ** 2 for s in row) / max(len(row), 1)) + 1e-6
        for row, mean in zip(own, means, strict=True)
    ]
    losses = []
    for s_ii, row, mean, std in zip(positive.tolist(), own, means, stds, strict=True):
        if scheme == "hal":
            total = 1 + sum(math.exp(30 * (s - 0.3)) for s in row)
            losses.append(math.log(total) / 30 - math.log(1 + max(s_ii, 0)))
            continue
        hardness = {
            "none": [0.0 for _ in row],
            "exp": row,
            "zscore": [(s - mean) / std for s in row],
            "adaptive_beta": [s * std / (sum(stds) / len(stds)) for s in row],
        }[scheme]
        total = sum(math.exp(beta * h) for h in hardness)
        weights = [len(row) * math.exp(beta * h) / total for h in hardness]
        rest = sum(w * math.exp(s / tau) for w, s in zip(weights, row, strict=True))
        losses.append(-math.log(math.exp(s_ii / tau) / (math.exp(s_ii / tau) + rest)))
    return losses


@given(
    st.integers(0, 9999), st.integers(1, 5), st.integers(1, 7), st.floats(0.02, 1), st.floats(0, 8),
    st.sampled_from(SCHEMES),
)  # fmt: skip
def test_equals_explicit_sums(seed: int, b: int, n: int, tau: float, beta: float, scheme: str) -> None:
    positive, negatives, negative_mask = some(seed, b, n)
    loss = dcl_loss(positive, negatives, negative_mask, tau, scheme, beta).tolist()
    assert loss == pytest.approx(written_out(positive, negatives, negative_mask, tau, scheme, beta), abs=1e-8)


# -- gradients -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["none", "hal"])
def test_gradient(scheme: str) -> None:
    positive, negatives, negative_mask = some(1, 3, 4)
    tau = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    inputs = positive.abs().requires_grad_(), negatives.requires_grad_(), tau
    assert torch.autograd.gradcheck(lambda p, n, t: dcl_loss(p, n, negative_mask, t, scheme), inputs)


@pytest.mark.parametrize("scheme", WEIGHTED)
def test_weights_carry_no_gradient(scheme: str) -> None:
    positive, negatives, negative_mask = some(2, 3, 6)
    weights = negative_weights(negatives, negative_mask, scheme, 2.0)
    given_weights = (negatives.requires_grad_() / 0.2).exp() * weights
    own = (positive / 0.2).exp()
    expected = torch.autograd.grad((own / (own + given_weights.sum(1))).log().neg().sum(), negatives)[0]
    loss = dcl_loss(positive, negatives, negative_mask, 0.2, scheme, 2.0)
    torch.testing.assert_close(torch.autograd.grad(loss.sum(), negatives)[0], expected)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_gradient_of_both_directions_reaches_the_anchors_alone(scheme: str) -> None:
    anchors, keys, others = pairs(0, 4), pairs(1, 4), pairs(2, 6, [0, 9, 9, 2, 8, 7])
    anchors.image.requires_grad_()
    anchors.text.requires_grad_()
    tau = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    symmetric_dcl(anchors, keys, keys.followed_by(others), tau, scheme).backward()
    assert present(anchors.image.grad).isfinite().all()
    assert present(anchors.image.grad).any()
    assert present(anchors.text.grad).any()
    assert (tau.grad is None) == (scheme == "hal")


# -- what it reduces to ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "beta"), [("none", 1.0), ("exp", 0.0), ("zscore", 0.0)])
@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 4], [0, 0, 1, 2, 2]])
def test_with_its_own_batch_as_keys_it_is_infonce(scheme: str, beta: float, ids: list[int]) -> None:
    batch = pairs(3, 5, ids)
    expected = symmetric_info_nce(batch.image, batch.text, 20.0, batch.ids)
    assert symmetric_dcl(batch, batch, batch, 1 / 20, scheme, beta).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("scheme", WEIGHTED)
def test_with_zero_sharpness_it_is_moco(scheme: str) -> None:
    anchors, keys, queue = pairs(4, 6), pairs(5, 6), pairs(6, 32, list(range(100, 132)))
    directions = [(anchors.image, keys.text, queue.text), (anchors.text, keys.image, queue.image)]
    expected = []
    for q, k, bank in directions:  # as in the paper's algorithm 1
        l_pos = torch.einsum("nc,nc->n", q, k)[:, None]
        l_neg = torch.einsum("nc,kc->nk", q, bank)
        expected.append(F.cross_entropy(torch.cat([l_pos, l_neg], 1) / 0.07, torch.zeros(6).long()))
    loss = symmetric_dcl(anchors, keys, queue, 0.07, scheme, 0.0)
    assert loss.item() == pytest.approx(torch.stack(expected).mean().item())


# -- properties ------------------------------------------------------------------------------------------


@given(st.integers(0, 9999), st.sampled_from(WEIGHTED), st.floats(0.1, 5))
def test_weights_are_one_on_average_and_grow_with_similarity(seed: int, scheme: str, beta: float) -> None:
    _, negatives, negative_mask = some(seed, 4, 9)
    weights = negative_weights(negatives, negative_mask, scheme, beta)
    assert not weights[~negative_mask].any()
    count = negative_mask.sum(1)
    torch.testing.assert_close(weights.sum(1), count.double())
    for s, w, mask in zip(negatives, weights, negative_mask, strict=True):
        order = s[mask].argsort()
        assert (w[mask][order].diff() > 0).all()


def test_zscore_is_relative_to_the_negatives_of_the_anchor() -> None:
    _, negatives, _ = some(3, 4, 50)
    negative_mask = torch.ones_like(negatives, dtype=torch.bool)
    expected = negative_weights(negatives, negative_mask, "zscore", 1.0)
    moved = negative_weights(0.1 * negatives + 0.5, negative_mask, "zscore", 1.0)
    torch.testing.assert_close(moved, expected, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(
        negative_weights(0.1 * negatives + 0.5, negative_mask, "exp", 1.0), expected, atol=0.1
    )


def test_adaptive_beta_is_sharper_where_negatives_differ() -> None:
    spread = torch.linspace(-1, 1, 9, dtype=torch.float64)
    negatives = torch.stack([0.9 * spread, 0.1 * spread])
    negative_mask = torch.ones(2, 9, dtype=torch.bool)
    weights = negative_weights(negatives, negative_mask, "adaptive_beta", 1.0)
    alone = negative_weights(negatives, negative_mask, "exp", 1.0)
    assert weights[0].max() > alone[0].max()
    assert weights[1].max() < alone[1].max()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_order_of_batch_and_queue_and_values_of_ids_do_not_matter(scheme: str) -> None:
    anchors, keys, queue = pairs(7, 5, [0, 1, 1, 2, 3]), pairs(8, 5, [0, 1, 1, 2, 3]), pairs(9, 8, [3] * 8)
    queue = queue._replace(ids=torch.tensor([3, 9, 0, 8, 7, 6, 5, 4]))
    expected = symmetric_dcl(anchors, keys, keys.followed_by(queue), 0.1, scheme)

    def shuffled(some: PairEmbeddings, order: list[int]) -> PairEmbeddings:
        return PairEmbeddings(some.image[order], some.text[order], 99 - some.ids[order])

    batch, places = [4, 2, 0, 1, 3], [5, 0, 7, 3, 1, 2, 6, 4]
    anchors, keys, queue = shuffled(anchors, batch), shuffled(keys, batch), shuffled(queue, places)
    torch.testing.assert_close(symmetric_dcl(anchors, keys, queue.followed_by(keys), 0.1, scheme), expected)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_loss_is_symmetric_in_images_and_texts(scheme: str) -> None:
    def turned(some: PairEmbeddings) -> PairEmbeddings:
        return PairEmbeddings(some.text, some.image, some.ids)

    anchors, keys, others = pairs(10, 4), pairs(11, 4), pairs(12, 9)
    expected = symmetric_dcl(anchors, keys, others, 0.1, scheme)
    swapped = symmetric_dcl(turned(anchors), turned(keys), turned(others), 0.1, scheme)
    torch.testing.assert_close(swapped, expected)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_key_of_the_same_image_is_no_negative(scheme: str) -> None:
    anchor, key, others = pairs(13, 1), pairs(14, 1), pairs(15, 7, list(range(10, 17)))
    past_self = anchor._replace(text=anchor.image, image=anchor.text)  # as similar as can be
    alone = symmetric_dcl(anchor, key, others, 0.1, scheme)
    torch.testing.assert_close(symmetric_dcl(anchor, key, others.followed_by(past_self), 0.1, scheme), alone)
    stranger = past_self._replace(ids=torch.tensor([77]))
    assert symmetric_dcl(anchor, key, others.followed_by(stranger), 0.1, scheme) > alone + 0.01


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_anchor_without_negatives(scheme: str) -> None:
    positive, negatives = POSITIVE.clone().requires_grad_(), BANK.clone().requires_grad_()
    negative_mask = torch.tensor([[False] * 3, [True] * 3])
    loss = dcl_loss(positive, negatives, negative_mask, 0.1, scheme)
    assert loss[0].item() == pytest.approx(-math.log(1.8) if scheme == "hal" else 0.0)
    loss.sum().backward()
    assert present(negatives.grad).isfinite().all()
    assert not present(negatives.grad)[0].any()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("tau", [0.01, 0.1])
def test_finite_at_the_ends_of_the_temperature(scheme: str, tau: float) -> None:
    positive = torch.tensor([-1.0, 1.0], requires_grad=True)
    negatives = torch.tensor([[1.0] * 5, [-1.0] * 5], requires_grad=True)
    loss = dcl_loss(positive, negatives, torch.ones(2, 5, dtype=torch.bool), tau, scheme, 10.0)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert present(positive.grad).isfinite().all()
    assert present(negatives.grad).isfinite().all()


def test_false_negative_prob_reduces_weights() -> None:
    none, whole = torch.zeros_like(BANK), torch.ones_like(BANK)
    plain = dcl_loss(POSITIVE, BANK, ALL, 0.1, "zscore")
    torch.testing.assert_close(dcl_loss(POSITIVE, BANK, ALL, 0.1, "zscore", false_negative_prob=none), plain)
    assert not dcl_loss(POSITIVE, BANK, ALL, 0.1, "zscore", false_negative_prob=whole).any()
    first = torch.tensor([[1.0, 0, 0], [1.0, 0, 0]])
    without = dcl_loss(POSITIVE, BANK[:, 1:], ALL[:, 1:], 0.1, "none")
    torch.testing.assert_close(dcl_loss(POSITIVE, BANK, ALL, 0.1, "none", false_negative_prob=first), without)
