"""InfoNCE: a double loop, a closed form and open_clip as reference, and its properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.loss import ClipLoss
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from itr_core.batch import EncoderOutput, PairBatch, TextOutput
from itr_core.errors import ModelError
from itr_core.methods import METHODS, InfoNCE, Setup, make_method
from itr_core.methods.components import info_nce
from itr_core.methods.components.info_nce import exact_info_nce, symmetric_info_nce
from itr_core.methods.infonce import sum_of_siblings
from tests.support import present


def rows(seed: int, n: int, d: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image, text = torch.randn(2, n, d, dtype=torch.float64, generator=generator)
    return image, text


def double_loop(image: Tensor, text: Tensor, scale: float, ids: list[int]) -> float:
    """Compute the sums of the docstring term by term."""
    v, t = (x / x.norm(dim=1, keepdim=True) for x in (image, text))
    total = 0.0
    for i in range(len(ids)):
        candidates = [j for j in range(len(ids)) if j == i or ids[j] != ids[i]]
        for logits in ({j: scale * (v[i] @ t[j]).item() for j in candidates},
                       {j: scale * (v[j] @ t[i]).item() for j in candidates}):  # fmt: skip
            total -= logits[i] - math.log(sum(math.exp(s) for s in logits.values()))
    return total / (2 * len(ids))


@given(st.integers(0, 9999), st.lists(st.integers(0, 3), min_size=1, max_size=8), st.floats(0.1, 100))
def test_equals_the_double_loop(seed: int, ids: list[int], scale: float) -> None:
    image, text = rows(seed, len(ids))
    loss = symmetric_info_nce(image, text, scale, torch.tensor(ids)).item()
    assert loss == pytest.approx(double_loop(image, text, scale, ids), abs=1e-9)


def test_closed_form_of_two_pairs() -> None:
    # Similarities [[.8, .2], [.1, .6]] at temperature .1; the mean of both directions by hand.
    text = torch.eye(4, dtype=torch.float64)[:2]
    image = torch.zeros(2, 4, dtype=torch.float64)
    image[:, :2] = torch.tensor([[0.8, 0.2], [0.1, 0.6]], dtype=torch.float64)
    image[:, 2] = (1 - image.square().sum(1)).sqrt()  # unit length without touching the similarities
    i2t = (math.log1p(math.exp(-6)) + math.log1p(math.exp(-5))) / 2
    t2i = (math.log1p(math.exp(-7)) + math.log1p(math.exp(-4))) / 2
    assert (i2t, t2i) == pytest.approx((0.00459552, 0.00953070), abs=1e-8)
    assert symmetric_info_nce(image, text, 10, torch.arange(2)).item() == pytest.approx(
        (i2t + t2i) / 2, abs=1e-12
    )


def test_a_hard_negative_is_contrasted_with_its_own_caption_only() -> None:
    image, text = rows(0, 4)
    false, _ = rows(1, 4)
    batch = PairBatch(torch.zeros(4, 1), torch.arange(4), [""] * 4)
    method = make_method("infonce", {"hard_negatives": 0.5})
    assert method.needs == {"false_captions"}
    assert method.weights == {"infonce": 1.0, "infonce_hard": 0.5}
    terms = method(EncoderOutput(image, text, torch.tensor(10.0), negative=TextOutput(false)), batch)
    v, t, f = (normalize(x, dim=-1) for x in (image, text, false))
    two_candidates = torch.stack([(v * t).sum(1), (v * f).sum(1)], dim=1)  # the true one is number 0
    expected = cross_entropy(10 * two_candidates, torch.zeros(4, dtype=torch.long))
    assert terms["infonce_hard"].item() == pytest.approx(expected.item())
    assert terms["infonce"].item() == symmetric_info_nce(image, text, 10.0, batch.image_id).item()


def exact_loop(image: Tensor, text: Tensor, scale: float, truth: Tensor, own: list[int]) -> float:
    """Compute the sums of `exact_info_nce` term by term."""
    v, t = (x / x.norm(dim=1, keepdim=True) for x in (image, text))
    z = [[scale * (a @ b).item() for b in t] for a in v]
    images, texts = range(len(v)), range(len(t))
    i2t = [
        math.log1p(sum(math.exp(z[i][k] - z[i][j]) for k in texts if not truth[i, k]))
        for j, i in enumerate(own)
    ]
    t2i = []
    for j in texts:
        of_images = [
            math.log1p(sum(math.exp(z[k][j] - z[i][j]) for k in images if not truth[k, j]))
            for i in images
            if truth[i, j]
        ]
        if of_images:
            t2i.append(sum(of_images) / len(of_images))
    return (sum(i2t) / len(i2t) + sum(t2i) / len(t2i)) / 2


@given(st.integers(0, 9999), st.lists(st.integers(0, 2), min_size=1, max_size=6), st.floats(0.1, 30))
def test_exact_negatives_equal_the_double_loop(seed: int, own: list[int], scale: float) -> None:
    (image, _), (text, _) = rows(seed, 3), rows(seed + 1, len(own) + 4)
    truth = torch.rand(3, len(text), generator=torch.Generator().manual_seed(seed)) < 0.3
    truth[own, torch.arange(len(own))] = True
    loss = exact_info_nce(image, text, scale, truth, torch.tensor(own)).item()
    assert loss == pytest.approx(exact_loop(image, text, scale, truth, own), abs=1e-9)


def test_exact_negatives_equal_infonce_where_only_the_pairs_are_true() -> None:
    image, text = rows(3, 6)
    exact = exact_info_nce(image, text, 7.0, torch.eye(6).bool(), torch.arange(6)).item()
    assert exact == pytest.approx(symmetric_info_nce(image, text, 7.0, torch.arange(6)).item())


def test_what_is_true_of_an_image_is_no_exact_negative() -> None:
    """Image 7 has two captions; its first one and the second false caption are true of image 4, too."""
    image, text = rows(0, 3)
    image[1] = image[0]
    false, _ = rows(1, 3)
    asked: list[tuple[list[int], list[int]]] = []
    truth = torch.tensor([[1, 1, 0, 0, 0, 0], [1, 0, 1, 0, 1, 0]]).bool()

    class Known:
        def matrix(
            self, images: slice | np.ndarray = slice(None), captions: np.ndarray | None = None
        ) -> np.ndarray:
            asked.append((np.asarray(images).tolist(), present(captions).tolist()))
            return truth.numpy()

        def grade(self, images: slice | np.ndarray = slice(None)) -> np.ndarray:
            raise NotImplementedError

    method = make_method("infonce", {"exact_negatives": True})
    assert method.needs == {"relevance"}
    assert not method.has_shares
    method.build(Setup(dim=5, relevance=Known()))
    batch = PairBatch(
        torch.zeros(3, 1), torch.tensor([7, 7, 4]), [""] * 3, torch.tensor([10, 11, 12]),
        negative_id=torch.tensor([91, 92, 93]),
    )  # fmt: skip
    out = EncoderOutput(image, text, torch.tensor(10.0), negative=TextOutput(false))
    loss = method(out, batch)["infonce"].item()
    assert asked == [([7, 4], [10, 11, 12, 91, 92, 93])]
    expected = exact_loop(image[[0, 2]], torch.cat([text, false]), 10, truth, [0, 0, 1])
    assert loss == pytest.approx(expected)


@pytest.mark.parametrize("option", ["siblings", "hard_negatives"])
def test_a_negative_weight_is_refused(option: str) -> None:
    with pytest.raises(ModelError, match=f"{option}=-1: must be at least 0"):
        make_method("infonce", {option: -1})


def test_equals_open_clip_when_all_ids_differ() -> None:
    image, text = rows(0, 16)
    expected = ClipLoss()(normalize(image, dim=-1), normalize(text, dim=-1), 14.3)
    assert symmetric_info_nce(image, text, 14.3, torch.arange(16)).item() == pytest.approx(
        expected.item(), abs=1e-12
    )


@pytest.mark.parametrize("ids", [[0, 1, 2, 3], [0, 0, 1, 2], [5, 5, 5, 5]])
def test_gradient(ids: list[int]) -> None:
    inputs = [x.requires_grad_() for x in rows(1, 4)]
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda v, t, s: symmetric_info_nce(v, t, s, torch.tensor(ids)), (*inputs, scale)
    )


@given(st.permutations(range(6)))
def test_order_of_the_batch_and_values_of_ids_do_not_matter(order: list[int]) -> None:
    (image, text), ids = rows(2, 6), torch.tensor([0, 0, 1, 2, 2, 3])
    expected = symmetric_info_nce(image, text, 7.0, ids).item()
    assert symmetric_info_nce(image[order], text[order], 7.0, 99 - ids[order]).item() == pytest.approx(
        expected
    )
    assert symmetric_info_nce(text, image, 7.0, ids).item() == pytest.approx(expected)  # i <-> t


def test_captions_of_one_image_are_not_negatives() -> None:
    image, text = rows(3, 4)
    text.requires_grad_()
    symmetric_info_nce(image[:2], text[:2], 5.0, torch.tensor([8, 8])).backward()
    assert not present(text.grad).any()


@pytest.mark.parametrize("scale", [1e-6, 100.0])
def test_finite_at_the_ends_of_the_temperature(scale: float) -> None:
    image = torch.nn.functional.normalize(torch.randn(8, 3), dim=-1).requires_grad_()
    loss = symmetric_info_nce(image, -image.detach(), scale, torch.arange(8))
    loss.backward()
    assert loss.isfinite()
    assert present(image.grad).isfinite().all()


def test_method_uses_ids_and_temperature_of_its_inputs() -> None:
    image, text = rows(4, 3)
    ids = torch.tensor([0, 0, 1])
    batch = PairBatch(text=torch.zeros(3, 1, dtype=torch.int64), image_id=ids, captions=["", "", ""])
    terms = make_method("infonce")(EncoderOutput(image, text, torch.tensor(4.0)), batch)
    assert terms.keys() == InfoNCE.weights.keys()
    assert terms["infonce"] == symmetric_info_nce(image, text, 4.0, ids)


def test_siblings_loss_equals_its_formula() -> None:
    image, text = rows(5, 5)
    ids = torch.tensor([3, 8, 3, 3, 8])
    batch = PairBatch(text=torch.zeros(5, 1, dtype=torch.int64), image_id=ids, captions=[""] * 5)
    method = make_method("infonce", {"siblings": 0.5})
    terms = method(EncoderOutput(image, text, torch.tensor(4.0)), batch)
    unit = normalize(text, dim=-1)
    others = torch.stack([unit[2] + unit[3], unit[4], unit[0] + unit[3], unit[0] + unit[2], unit[1]])
    torch.testing.assert_close(sum_of_siblings(text, ids), others)
    assert method.weights == {"infonce": 1.0, "infonce_siblings": 0.5}
    assert terms["infonce"] == symmetric_info_nce(image, text, 4.0, ids)
    torch.testing.assert_close(
        terms["infonce_siblings"].item(), double_loop(others, text, 4.0, ids.tolist()), rtol=0, atol=1e-9
    )


def test_a_caption_without_siblings_is_refused() -> None:
    with pytest.raises(ModelError, match="captions_per_image >= 2"):
        sum_of_siblings(torch.eye(3), torch.tensor([0, 0, 1]))
    with pytest.raises(ModelError, match=r"siblings=-0\.5"):
        make_method("infonce", {"siblings": -0.5})


@pytest.mark.parametrize("method", ["infonce", "siglip"])
def test_shares_of_all_rows_add_up_to_the_terms_and_their_gradients(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(info_nce, "BLOCK", 2)
    options = {"siblings": 0.5, "hard_negatives": 0.3} if method == "infonce" else {}
    image, text = rows(0, 7)
    false = rows(1, 7)[0]
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    leaves = [image.requires_grad_(), text.requires_grad_(), false.requires_grad_(), scale]
    out = EncoderOutput(image, text, scale, negative=TextOutput(false), logit_bias=torch.tensor(-1.0))
    batch = PairBatch(torch.zeros(7, 1), torch.tensor([1, 1, 2, 3, 3, 2, 1]), [""] * 7)
    made = make_method(method, options)
    terms = made(out, batch)
    shares = [made.share(out, batch, slice(*ends)) for ends in ((0, 3), (3, 4), (4, 7))]
    for name, term in terms.items():
        total = torch.stack([share[name] for share in shares]).sum()
        torch.testing.assert_close(total, term)
        wanted, found = (
            torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True)
            for value in (term, total)
        )
        torch.testing.assert_close(found, wanted)


def test_unknown_method_names_the_nearest() -> None:
    assert METHODS["infonce"] is InfoNCE
    with pytest.raises(ModelError, match=r"Unknown method 'infonse'\. Did you mean 'infonce'"):
        make_method("infonse")
