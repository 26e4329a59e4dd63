"""CRCGS: formulas of its code, double loops, properties, and training on a tiny world."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.loss import SigLipLoss
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import normalize

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.errors import ModelError, SourceError
from itr_core.methods import CRCGS, Setup, make_method, preset_needs_labels
from itr_core.methods.components.generators import Generator, fit
from itr_core.methods.components.info_nce import symmetric_info_nce
from itr_core.methods.components.shared_label import shared_label_loss
from itr_core.methods.crcgs import noise_contrast, support_loss, support_weights
from itr_core.training import train
from tests.support import present

S = torch.tensor([[0.8, 0.2], [0.1, 0.6]], dtype=torch.float64)


def rows(seed: int, n: int, d: int = 5, count: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, d, dtype=torch.float64, generator=generator) for _ in range(count)]


def some_labels(seed: int, n: int, c: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(n, c, generator=generator, dtype=torch.float64) < 0.4).double()


def unit_rows_with_cosines(cosines: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors with the given cosines; the second set are axes."""
    left = torch.zeros(2, 4, dtype=cosines.dtype)
    left[:, :2] = cosines
    left[:, 2] = (1 - left.square().sum(1)).sqrt()
    return left, torch.eye(4, dtype=cosines.dtype)[:2]


def cos(a: Tensor, b: Tensor) -> float:
    return (a @ b / (a.norm() * b.norm())).item()


# -- noise contrast --------------------------------------------------------------------------------------


def nce_as_published(g: Tensor, u: Tensor, ids: list[int], t: float, c: float) -> float:
    """Compute the fractions of the code with exponentials; rows of one image are not noise for each other."""
    total = 0.0
    for i in range(len(ids)):
        for j in range(len(ids)):
            e = math.exp(cos(g[i], u[j]) / t)
            if i == j:
                total += math.log(e / (e + c))
            elif ids[i] != ids[j]:
                total += math.log(c / (e + c))
    return -total / len(ids)


@given(
    st.integers(0, 999),
    st.lists(st.integers(0, 3), min_size=1, max_size=7),
    st.floats(0.05, 2),
    st.floats(1e-4, 5),
)
def test_stable_form_equals_the_published_fractions(seed: int, ids: list[int], t: float, c: float) -> None:
    g, u = rows(seed, len(ids))
    loss = noise_contrast(g, u, torch.tensor(ids), t, math.log(c)).item()
    assert loss == pytest.approx(nce_as_published(g, u, ids, t, c), abs=1e-9)


def test_noise_contrast_of_two_pairs() -> None:
    g, u = unit_rows_with_cosines(S)
    loss = noise_contrast(g, u, torch.arange(2), 0.5, math.log((2 - 1) / 4))
    assert loss.item() == pytest.approx(1.91778906, abs=1e-8)


def test_noise_contrast_is_siglip_at_a_bias() -> None:
    g, u = rows(1, 9)
    expected = SigLipLoss()(normalize(g, dim=1), normalize(u, dim=1), 1 / 0.2, -math.log(0.3))
    loss = noise_contrast(g, u, torch.arange(9), 0.2, math.log(0.3))
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)


def test_gradient_of_the_noise_contrast() -> None:
    inputs = [x.requires_grad_() for x in rows(2, 4)]
    bias = torch.tensor(-0.7, dtype=torch.float64, requires_grad=True)
    ids = torch.tensor([0, 0, 1, 2])
    assert torch.autograd.gradcheck(lambda g, u, b: noise_contrast(g, u, ids, 0.3, b), (*inputs, bias))


def test_captions_of_one_image_are_not_noise() -> None:
    g, u = rows(3, 3)
    u.requires_grad_()
    noise_contrast(
        g, u, torch.tensor([8, 8, 8]), 0.3, 50.0
    ).backward()  # so large a prior: noise weighs nothing
    pull = present(u.grad).clone()
    u.grad = None
    each = [noise_contrast(g[i : i + 1], u[i : i + 1], torch.tensor([i]), 0.3, 50.0) for i in range(3)]
    torch.stack(each).mean().backward()
    torch.testing.assert_close(u.grad, pull)


@pytest.mark.parametrize(("t", "log_c"), [(1e-3, -5.0), (1e3, 5.0), (0.07, -40.0), (0.07, 40.0)])
def test_noise_contrast_is_finite_at_its_limits(t: float, log_c: float) -> None:
    g = torch.randn(8, 3)
    u = (-g).clone().requires_grad_()  # the worst there is
    loss = noise_contrast(g, u, torch.arange(8), t, log_c)
    loss.backward()
    assert loss.isfinite()
    assert present(u.grad).isfinite().all()


def test_a_single_row_has_no_noise_and_zero_loss() -> None:
    g, u = rows(4, 1)
    u.requires_grad_()
    loss = noise_contrast(g, u, torch.tensor([3]), 0.07, torch.tensor(0.0).log())
    loss.backward()
    assert loss.item() == 0
    assert not present(u.grad).any()


# -- support sets ----------------------------------------------------------------------------------------


def support_as_published(v: Tensor, t: Tensor, y: Tensor, tau: float) -> float:
    """Count shared labels label by label and item by item, as the authors do."""

    def side(query: Tensor, support: Tensor) -> float:
        total = 0.0
        for i in range(len(query)):
            weights = [0.0] * len(query)
            for label in range(y.shape[1]):
                for k in range(len(query)):
                    if y[i, label] and y[k, label]:
                        weights[k] += math.exp(cos(query[i], support[k]) / tau)
            parts = [w / sum(weights) * support[k] for k, w in enumerate(weights)]
            total += cos(query[i], torch.stack(parts).sum(0))
        return total / len(query)

    return -math.log(max((side(v, t) + side(t, v)) / 2, 1e-6))


@given(st.integers(0, 999), st.integers(1, 6), st.floats(0.05, 2))
def test_support_equals_the_loops_over_labels(seed: int, n: int, tau: float) -> None:
    v, t = (x.abs() for x in rows(seed, n))
    y = some_labels(seed, n)
    y[:, 0] = torch.maximum(y[:, 0], 1 - y.amax(1))  # every row has a label
    assert support_loss(v, t, y, tau).item() == pytest.approx(support_as_published(v, t, y, tau), abs=1e-9)


def test_support_of_two_pairs() -> None:
    v = torch.eye(2, dtype=torch.float64)
    t = torch.tensor([[0.8, 0.6], [0.6, 0.8]], dtype=torch.float64)
    y = torch.tensor([[1.0, 0, 1], [1, 1, 0]], dtype=torch.float64)
    weights = support_weights(v, t, y, 0.5)
    np.testing.assert_allclose(weights, [[0.748974, 0.251026], [0.251026, 0.748974]], atol=1e-6)
    assert support_loss(v, t, y, 0.5).item() == pytest.approx(0.15975826, abs=1e-8)


@given(st.integers(0, 999), st.floats(0.01, 5))
def test_support_rows_sum_to_one_over_items_with_shared_labels(seed: int, tau: float) -> None:
    v, t = rows(seed, 6)
    y = some_labels(seed, 6)
    y[:, 0] = torch.maximum(y[:, 0], 1 - y.amax(1))
    weights = support_weights(v, t, y, tau)
    torch.testing.assert_close(weights.sum(1), torch.ones(6, dtype=torch.float64))
    assert not weights[y @ y.T == 0].any()


def test_gradient_of_the_support_loss() -> None:
    inputs = [x.abs().requires_grad_() for x in rows(5, 4)]
    y = torch.tensor([[1.0, 0], [1, 1], [0, 1], [0, 0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v, t: support_loss(v, t, y, 0.3), inputs)


def test_rows_without_labels_are_skipped_in_the_support() -> None:
    v, t = (x.abs() for x in rows(6, 5))
    y = some_labels(0, 5)
    y[:3, 0], y[3:] = 1, 0
    assert support_loss(v, t, y, 0.1) == support_loss(v[:3], t[:3], y[:3], 0.1)
    v.requires_grad_()
    nothing = support_loss(v, t, torch.zeros_like(y), 0.1)
    nothing.backward()
    assert nothing.item() == 0
    assert not present(v.grad).any()


def test_support_loss_is_symmetric_and_bounded() -> None:
    v, t = rows(7, 5)
    y = some_labels(3, 5)
    y[:, 0] = 1
    assert support_loss(v, t, y, 0.2).item() == pytest.approx(support_loss(t, v, y, 0.2).item(), abs=1e-12)
    opposite = torch.eye(3).requires_grad_()
    loss = support_loss(opposite, -opposite, torch.eye(3), 0.1)
    loss.backward()
    assert loss.item() == pytest.approx(-math.log(1e-6))
    assert present(opposite.grad).isfinite().all()


# -- shared labels ---------------------------------------------------------------------------------------


def shared_as_published(v: Tensor, t: Tensor, y: Tensor) -> float:
    v, t, y = (rows[y.any(1)] for rows in (v, t, y))  # the authors' data have no rows without labels
    total = 0.0
    for one, other in ((v, v), (v, t), (t, t)):
        for a in range(len(v)):
            for b in range(len(v)):
                theta = cos(one[a], other[b]) / 2
                total += math.log(1 + math.exp(theta)) - (theta if (y[a] @ y[b]) > 0 else 0)
    return total / max(len(v), 1) ** 2


@given(st.integers(0, 999), st.integers(1, 6))
def test_shared_label_loss_equals_the_double_loop(seed: int, n: int) -> None:
    (v, t), y = rows(seed, n), some_labels(seed, n)
    assert shared_label_loss(v, t, y).item() == pytest.approx(shared_as_published(v, t, y), abs=1e-9)


def test_rows_without_labels_are_not_pushed_from_their_own_pair() -> None:
    v, t = (x.requires_grad_() for x in rows(9, 3))
    y = torch.tensor([[1.0, 0], [0, 0], [1, 1]], dtype=torch.float64)
    shared_label_loss(v, t, y).backward()
    assert present(v.grad).any(dim=1).tolist() == present(t.grad).any(dim=1).tolist() == [True, False, True]
    assert shared_label_loss(v, t, torch.zeros_like(y)).item() == 0


def test_gradient_of_the_shared_label_loss() -> None:
    inputs = [x.requires_grad_() for x in rows(8, 4)]
    y = some_labels(1, 4)
    assert torch.autograd.gradcheck(lambda v, t: shared_label_loss(v, t, y), inputs)


# -- the whole method ------------------------------------------------------------------------------------

D, N, C = 8, 12, 4


def source_setup(seed: int = 0) -> Setup:
    """Twelve images; embeddings of their captions are a rotation of theirs."""
    generator = torch.Generator().manual_seed(1)
    image = normalize(torch.randn(N, D, generator=generator), dim=1)
    turn, _ = torch.linalg.qr(torch.randn(D, D, generator=generator))
    embedded = image.numpy(), (image @ turn).numpy()
    return Setup(
        D, captions=[["a"]] * N, labels=[f"l{c}" for c in range(C)], embed=lambda: embedded, seed=seed
    )


def made(**options: Any) -> CRCGS:
    method = CRCGS(code_dim=16, generator_width=16, **options)
    method.build(source_setup())
    method.prepare(source_setup())
    return method


def some_batch(ids: list[int], seed: int = 0) -> tuple[EncoderOutput, PairBatch]:
    image, text = (x.float().requires_grad_() for x in rows(seed, len(ids), D))
    labels = some_labels(seed, N, C).float()[torch.tensor(ids)]
    batch = PairBatch(torch.zeros(len(ids), 1), torch.tensor(ids), [""] * len(ids), labels=labels)
    return EncoderOutput(image, text, torch.tensor(9.0)), batch


EVERYTHING = {"direct": True, "use_adv": True}


def test_terms_are_those_of_the_equations() -> None:
    method, ids = made(**EVERYTHING, nce_temperature=0.3, support_temperature=0.4), [0, 0, 3, 7, 5]
    out, batch = some_batch(ids)
    terms = method(out, batch)
    assert terms.keys() == method.weights.keys()
    with torch.no_grad():
        v, t = normalize(out.image, dim=1).double(), normalize(out.text, dim=1).double()
        u_v, u_t = method.image_head(out.image).double(), method.text_head(out.text).double()
        g_v, g_t = (codes[torch.tensor(ids)].double() for codes in (method.image_codes, method.text_codes))
        y = present(batch.labels).double()

        def nce(g: Tensor, u: Tensor) -> float:
            return nce_as_published(g, u, ids, 0.3, 4 / math.ceil(N / 5))

        label = 0.0
        for embedding in (out.image, out.text):
            p = method.label_head(embedding).double().sigmoid()
            label -= (y * p.log() + (1 - y) * (1 - p).log()).mean().item()

        def fooled(critic: Any, decode: Any, u: Tensor) -> float:
            return -critic(decode(u.float())).sigmoid().log().mean().item()

        def told(critic: Any, decode: Any, u: Tensor, g: Tensor) -> float:
            false, true = (critic(decode(x.float())).sigmoid() for x in (u, g))
            return -((1 - false).log().mean() + true.log().mean()).item() / 2

        image_side = method.image_critic, method.text_to_image.decode
        text_side = method.text_critic, method.image_to_text.decode
        expected = {
            "infonce": symmetric_info_nce(out.image, out.text, 9.0, batch.image_id).item(),
            "crcgs_label": label,
            "crcgs_pair": shared_as_published(v, t, y),
            "crcgs_invariance": sum((v[i] - t[i]).norm().item() for i in range(5)) / 5,
            "crcgs_match": sum(((u - g) ** 2).sum().item() for u, g in ((u_v, g_v), (u_t, g_t))) / 5 / 16,
            "crcgs_support": support_loss(u_v, u_t, y, 0.4).item(),
            "crcgs_nce_intra": (nce(g_v, u_v) + nce(g_t, u_t)) / 4,
            "crcgs_nce_inter": (nce(g_v, u_t) + nce(g_t, u_v)) / 4,
            "crcgs_nce_direct": nce(u_v, u_t) / 4,
            "crcgs_adversary": fooled(*image_side, u_t) + fooled(*text_side, u_v),
            "crcgs_critic": told(*image_side, u_t, g_t) + told(*text_side, u_v, g_v),
        }
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("ids", [[4], [0, 1, 2, 3], [5, 5, 5]])
def test_every_term_is_finite_and_passes_gradients(ids: list[int]) -> None:
    method = made(**EVERYTHING)
    out, batch = some_batch(ids)
    terms = method(out, batch)
    torch.stack([method.weights[name] * term for name, term in terms.items()]).sum().backward()
    assert all(term.isfinite() for term in terms.values())
    for weight in (out.image, out.text, *method.parameters()):
        assert weight.grad is None or weight.grad.isfinite().all()
    assert present(out.image.grad).any()


def test_inputs_are_not_modified() -> None:
    method, (out, batch) = made(**EVERYTHING), some_batch([0, 0, 3, 7])
    given = out.image, out.text, batch.image_id, present(batch.labels)
    before = [tensor.clone() for tensor in given]
    method(out, batch)
    assert all(map(torch.equal, given, before))


def test_order_of_the_batch_does_not_matter() -> None:
    method = made(**EVERYTHING)
    one = method(*some_batch([0, 0, 3, 7]))
    out, batch = some_batch([0, 0, 3, 7])
    order = torch.tensor([2, 0, 3, 1])
    shuffled = PairBatch(
        batch.text, batch.image_id[order], batch.captions, labels=present(batch.labels)[order]
    )
    other = method(EncoderOutput(out.image[order], out.text[order], out.logit_scale), shuffled)
    assert {k: v.item() for k, v in other.items()} == pytest.approx(
        {k: v.item() for k, v in one.items()}, 1e-5
    )


def test_equal_embeddings_have_a_gradient() -> None:
    method = made()
    out, batch = some_batch([0, 1])
    terms = method(EncoderOutput(out.image, out.image, out.logit_scale), batch)
    terms["crcgs_invariance"].backward()
    assert terms["crcgs_invariance"].item() == 0
    assert present(out.image.grad).isfinite().all()


def test_without_its_weights_it_is_infonce() -> None:
    nothing = {"w_t": 0.0, "w_c": 0.0, "w_ss": 0.0, "phi": 0.0, "alpha_pair": 0.0, "beta_inv": 0.0}
    method = made(**nothing)
    out, batch = some_batch([0, 1, 1, 2])
    loss = sum(method.weights[name] * term for name, term in method(out, batch).items())
    assert loss == make_method("infonce")(out, batch)["infonce"]


@pytest.mark.parametrize("preset", ["coco", "mirflickr", "nuswide"])
def test_a_preset_is_the_objective_of_the_paper(preset: str) -> None:
    method = make_method("crcgs", {"preset": preset, "code_dim": 16, "generator_width": 16})
    method.build(source_setup())
    method.prepare(source_setup())
    terms = method(*some_batch([0, 1, 2]))
    assert terms.keys() == method.weights.keys()
    assert "infonce" not in terms
    assert {"crcgs_adversary", "crcgs_nce_intra", "crcgs_nce_inter"} <= terms.keys()
    assert method.weights["crcgs_support"] == (40 if preset == "nuswide" else 0.001)


def test_without_infonce_a_combination_has_that_of_the_other() -> None:
    assert make_method("crcgs+infonce", {"w_infonce": 0.0}).weights["infonce"] == 1
    assert "infonce" not in make_method("crcgs", {"w_infonce": 0.0}).weights


def test_flags_choose_the_contrasts() -> None:
    names = {"crcgs_nce_intra", "crcgs_nce_inter", "crcgs_nce_direct"}
    assert made().weights.keys() & names == names - {"crcgs_nce_direct"}
    method = made(intra=False, direct=True)
    assert method(*some_batch([0, 1])).keys() & names == names - {"crcgs_nce_intra"}


def test_prior_counts_batches_images_or_noise_count_and_can_be_learned() -> None:
    ids = [0, 1, 2, 3]
    out, batch = some_batch(ids)
    counted = made()
    for method, n in ((counted, math.ceil(N / 4)), (made(noise_count=-1), N), (made(noise_count=3), 3)):
        u_v, g_v = method.image_head(out.image), method.image_codes[:4].float()
        u_t, g_t = method.text_head(out.text), method.text_codes[:4].float()
        sides = [
            noise_contrast(g, u, batch.image_id, 0.07, math.log(3 / n)) for g, u in ((g_v, u_v), (g_t, u_t))
        ]
        torch.testing.assert_close(method(out, batch)["crcgs_nce_intra"], torch.stack(sides).sum() / 4)
    counted(out, batch)["crcgs_nce_inter"].backward()
    assert counted.bias.grad
    assert not made(learn_bias=False).bias.requires_grad


def test_adversarial_terms_have_gradients_only_for_their_own_side() -> None:
    method = made(use_adv=True)
    out, batch = some_batch([0, 1, 2])
    critics = [*method.image_critic.parameters(), *method.text_critic.parameters()]
    students = [*method.image_head.parameters(), *method.text_head.parameters()]
    terms = method(out, batch)
    for term, moved, still in (("crcgs_adversary", students, critics), ("crcgs_critic", critics, students)):
        assert not any(
            g is not None
            for g in torch.autograd.grad(terms[term], still, retain_graph=True, allow_unused=True)
        )
        assert all(g.any() for g in torch.autograd.grad(terms[term], moved[:1], retain_graph=True))


# -- generators ------------------------------------------------------------------------------------------


def test_generators_learn_the_other_modality() -> None:
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(600, 8, generator=generator)
    wanted = given @ torch.linalg.qr(torch.randn(8, 8, generator=generator))[0]
    error = fit(network := Generator(8, width=64, code_dim=16), given, wanted, seed=0)
    held = torch.arange(600)  # frozen, it errs as little on all rows
    assert (network(given) - wanted).abs().mean() < 0.75 * (wanted - wanted[held].mean(0)).abs().mean()
    assert error < 0.75 * wanted.abs().mean()
    assert network.encode(given).min() == 0
    assert not any(weight.requires_grad for weight in network.parameters())


def test_codes_come_from_the_generators_and_repeat_with_the_seed() -> None:
    method, setup = made(), source_setup()
    state = torch.get_rng_state()
    again = made()
    assert torch.equal(torch.get_rng_state(), state)  # other chance is left alone
    assert method.state_dict().keys() == again.state_dict().keys()
    for name, value in method.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    image, text = (torch.from_numpy(x) * D**0.5 for x in present(setup.embed)())
    torch.testing.assert_close(
        method.image_codes.float(), method.image_to_text.encode(image), atol=1e-2, rtol=1e-2
    )
    torch.testing.assert_close(
        method.text_codes.float(), method.text_to_image.encode(text), atol=1e-2, rtol=1e-2
    )
    assert method.image_codes.any()
    assert not method.image_to_text.training


def test_undecodable_images_do_not_train_the_generators() -> None:
    setup = source_setup()
    image, text = (x.copy() for x in present(setup.embed)())
    image[3], text[5] = 0, 0
    method = CRCGS(code_dim=16, generator_width=16)
    method.build(setup)
    method.prepare(Setup(D, setup.captions, labels=setup.labels, embed=lambda: (image, text)))
    text[3], image[5] = 9, 9  # the partner of a missing embedding has no effect
    other = CRCGS(code_dim=16, generator_width=16)
    other.build(setup)
    other.prepare(Setup(D, setup.captions, labels=setup.labels, embed=lambda: (image, text)))
    assert torch.equal(method.image_codes[:3], other.image_codes[:3])


def test_heads_are_the_trained_parameters() -> None:
    kept = made(use_adv=True).heads()
    assert {"bias", "image_head.1.weight", "text_head.1.weight", "label_head.1.weight"} <= kept.keys()
    assert not any("codes" in name or "_to_" in name for name in kept)


# -- training --------------------------------------------------------------------------------------------


def settings(**changes: Any) -> dict[str, Any]:
    small = {"model": "tiny/none", "vocab_size": 300, "batch_size": 16, "device": "cpu", "lr": 3e-3}
    small |= {"options": {"code_dim": 16, "generator_width": 32, "use_adv": True, "direct": True}}
    return small | {"progress": False, "max_steps": 6, "save_every": 3} | changes


def log(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("configs")
@pytest.mark.parametrize(
    ("features", "labels"), [(None, "concepts"), ("cache", "clusters")], ids=["pixels", "cache"]
)
def test_trains_and_resumes_exactly(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: str | None, labels: str
) -> None:
    source, options = f"folder:{world}", settings(image_features=features, labels=labels)
    whole = train("crcgs", source, out=tmp_path / "whole", **options)
    entry = log(whole)[-1]
    assert math.isfinite(entry["loss"])
    assert {"infonce", "crcgs_match", "crcgs_support", "crcgs_adversary"} <= entry.keys()

    class StopError(Exception):
        pass

    calls, usual = itertools.count(1), CRCGS.forward

    def stop(self: CRCGS, *args: Any) -> dict[str, Tensor]:
        if next(calls) == 5:
            raise StopError
        return usual(self, *args)

    monkeypatch.setattr(CRCGS, "forward", stop)
    with pytest.raises(StopError):
        train("crcgs", source, out=tmp_path / "broken", **options)
    monkeypatch.setattr(CRCGS, "forward", usual)
    broken = train("crcgs", source, out=tmp_path / "broken", resume=True, **options)
    for name in ("state.safetensors", "heads.safetensors", "open_clip_model.safetensors"):
        one, other = load_file(whole / name), load_file(broken / name)
        assert one.keys() == other.keys()
        assert not [key for key in one if not torch.equal(one[key], other[key])]
    assert load_file(whole / "state.safetensors")["method/image_codes"].any()


@pytest.mark.usefixtures("configs")
def test_a_preset_needs_labels_of_the_source_or_chosen_pseudo_labels(world: Path, tmp_path: Path) -> None:
    source, out = f"folder:{world}", tmp_path / "out"
    preset = settings(options={"preset": "mirflickr", "code_dim": 16, "generator_width": 16}, max_steps=1)
    with pytest.raises(
        SourceError, match=r"preset='mirflickr' is .* and folder:.* has none\..*--labels concepts"
    ):
        train("crcgs", source, out=out, **preset)
    assert not out.exists()
    assert log(train("crcgs", source, out=out, labels="concepts", **preset))
    assert not preset_needs_labels("ascl+crcgs", {"preset": "acf"})  # of AsCL, which needs no labels


@pytest.mark.usefixtures("configs")
def test_missing_labels_are_reported_with_the_remedy(world: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no labels.*--columns labels=NAME.*--labels concepts"):
        train("crcgs", f"folder:{world}", out=tmp_path / "out", **settings(labels="source"))
    with pytest.raises(ModelError, match=r"use_adv=1.*like False"):
        train("crcgs", f"folder:{world}", out=tmp_path / "out", **settings(options={"use_adv": 1}))
