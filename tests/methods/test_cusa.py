"""CUSA: double loops and closed forms as reference, special cases, and training on a tiny world."""

import json
import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.loss import ClipLoss
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.errors import ModelError
from itr_core.methods import METHODS, InfoNCE, Setup, cusa, make_method
from itr_core.methods.components.info_nce import symmetric_info_nce
from itr_core.methods.cusa import CUSA, Temperature
from itr_core.training import train
from tests.support import present

DIM, SCALE = 5, 7.0


def built(**options: Any) -> CUSA:
    method = CUSA(**options)
    method.build(Setup(dim=DIM, seed=3))
    return method.double()


def world_of(seed: int, ids: list[int]) -> tuple[EncoderOutput, PairBatch]:
    """Random embeddings and teachers; rows with equal ids share their image, as in training."""
    random = torch.Generator().manual_seed(seed)
    image, text, teacher_image, teacher_text = (
        torch.randn(max(len(ids), 10), DIM, dtype=torch.float64, generator=random) for _ in range(4)
    )
    n = len(ids)
    out = EncoderOutput(image[ids], text[:n], torch.tensor(SCALE, dtype=torch.float64))
    return out, batch_of(teacher_image[ids], teacher_text[:n], ids)


def batch_of(teacher_image: Tensor, teacher_text: Tensor, ids: list[int]) -> PairBatch:
    return PairBatch(
        text=torch.zeros(len(ids), 1, dtype=torch.int64),
        image_id=torch.tensor(ids),
        captions=[""] * len(ids),
        teacher_image=teacher_image,
        teacher_text=teacher_text,
    )


def total(method: CUSA, out: EncoderOutput, batch: PairBatch) -> float:
    return sum(method.weights[name] * term.item() for name, term in method(out, batch).items())


# -- oracles ---------------------------------------------------------------------------------------------


def loop_cosine(x: Tensor, y: Tensor) -> float:
    a, b = x.tolist(), y.tolist()
    dot = sum(p * q for p, q in zip(a, b, strict=True))
    return dot / math.sqrt(sum(p * p for p in a)) / math.sqrt(sum(q * q for q in b))


def scaled(value: Callable[[int, int], float], factor: float) -> Callable[[int, int], float]:
    return lambda i, j: value(i, j) * factor


def cosines_of(rows: Tensor) -> Callable[[int, int], float]:
    return lambda i, j: loop_cosine(rows[i], rows[j])


def loop_kl(label: Callable[[int, int], float], logit: Callable[[int, int], float], n: int) -> float:
    """Compute 1/B sum_i KL(softmax_j label(i, j) || softmax_j logit(i, j))."""
    divergence = 0.0
    for i in range(n):
        q = [math.exp(label(i, j)) for j in range(n)]
        p = [math.exp(logit(i, j)) for j in range(n)]
        for j in range(n):
            share = q[j] / sum(q)
            divergence += share * (math.log(share) - math.log(p[j] / sum(p)))
    return divergence / n


IDS = st.lists(st.integers(0, 3), min_size=1, max_size=6)


@settings(deadline=None)
@given(st.integers(0, 9999), IDS, st.sampled_from(cusa.SOFT_LABELS), st.floats(0.1, 2), st.floats(0.1, 0.99))
def test_equals_the_double_loops(seed: int, ids: list[int], mode: str, tau_s: float, tau_init: float) -> None:
    method = built(soft_labels=mode, tau_s=tau_s, tau_init=tau_init)
    out, batch = world_of(seed, ids)
    n, tau, tau_own = len(ids), method.cross_temperature().item(), method.image_temperature().item()
    images, texts = cosines_of(present(batch.teacher_image)), cosines_of(present(batch.teacher_text))

    def label(i: int, j: int, own: Callable[[int, int], float]) -> float:
        if ids[i] == ids[j]:
            return 1 / tau_s
        if mode == "each":
            return own(i, j) / tau_s
        if mode == "add":
            return (images(i, j) + texts(i, j)) / 2 / tau_s
        return math.sqrt(max(images(i, j), 0) * max(texts(i, j), 0)) / tau_s

    csa = loop_kl(
        lambda i, j: label(i, j, images), lambda i, j: loop_cosine(out.image[i], out.text[j]) / tau, n
    )
    csa += loop_kl(
        lambda i, j: label(i, j, texts), lambda i, j: loop_cosine(out.text[i], out.image[j]) / tau, n
    )
    usa = 0.0
    with torch.no_grad():
        for own, head, x in (
            (images, method.image_head, out.image),
            (texts, method.text_head, out.text),
        ):
            a = head(x)
            usa += loop_kl(scaled(own, 1 / tau_s), scaled(cosines_of(a), 1 / tau_own), n)
    terms = method(out, batch)
    assert terms["cusa_csa"].item() == pytest.approx(csa / 2, abs=1e-9)
    assert terms["cusa_usa"].item() == pytest.approx(usa / 2, abs=1e-9)


def rows_with_cosines(similarity: list[list[float]]) -> tuple[Tensor, Tensor]:
    """Unit rows x, y (2, 4) with the given products x_i . y_j."""
    y = torch.eye(4, dtype=torch.float64)[:2]
    x = torch.zeros(2, 4, dtype=torch.float64)
    x[:, :2] = torch.tensor(similarity, dtype=torch.float64)
    x[:, 2] = (1 - x.square().sum(1)).sqrt()
    return x, y


def test_closed_form_of_two_pairs() -> None:
    # S = [[.8, .2], [.1, .6]], teachers that call the two images .5 and the two captions .2 alike. Every row
    # is a sigmoid of the difference of its two similarities; KL(q || p) of two Bernoullis.
    def bernoulli(difference: float, own: float) -> float:
        q, p = (1 / (1 + math.exp(-x)) for x in (own, difference / 0.45))
        return q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))

    i2t = (bernoulli(0.6, 0.5) + bernoulli(0.5, 0.5)) / 2
    t2i = (bernoulli(0.7, 0.8) + bernoulli(0.4, 0.8)) / 2
    assert (i2t, t2i, (i2t + t2i) / 2) == pytest.approx((0.05785853, 0.02774112, 0.04279982), abs=1e-8)

    image, text = rows_with_cosines([[0.8, 0.2], [0.1, 0.6]])
    teachers = [torch.tensor([[1, 0], [c, math.sqrt(1 - c * c)]], dtype=torch.float64) for c in (0.5, 0.2)]
    method = CUSA()
    method.build(Setup(dim=4))
    batch = batch_of(teachers[0], teachers[1], [0, 1])
    terms = method.double()(EncoderOutput(image, text, torch.tensor(10.0)), batch)
    assert terms["cusa_csa"].item() == pytest.approx((i2t + t2i) / 2, abs=1e-7)


@pytest.mark.parametrize("ids", [[0, 1, 2, 3], [0, 0, 1, 2]])
@pytest.mark.parametrize("mode", cusa.SOFT_LABELS)
def test_gradient_of_embeddings_heads_and_temperatures(ids: list[int], mode: str) -> None:
    method, (out, batch) = built(soft_labels=mode), world_of(1, ids)
    names = [name for name, _ in method.named_parameters()]

    def loss(image: Tensor, text: Tensor, *values: Tensor) -> Tensor:
        given = EncoderOutput(image, text, out.logit_scale), batch
        terms = torch.func.functional_call(method, dict(zip(names, values, strict=True)), given)
        return terms["cusa_csa"] + 2 * terms["cusa_usa"]

    inputs = [x.detach().clone().requires_grad_() for x in (out.image, out.text, *method.parameters())]
    assert torch.autograd.gradcheck(loss, inputs)


# -- what it reduces to ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 4, 5], [0, 0, 1, 2, 2, 3]])
def test_without_soft_labels_it_is_infonce(ids: list[int]) -> None:
    out, batch = world_of(2, ids)
    method = built(alpha=0.0, beta=0.0)
    assert total(method, out, batch) == InfoNCE()(out, batch)["infonce"].item()
    if len(set(ids)) == len(ids):
        expected = ClipLoss()(normalize(out.image, dim=-1), normalize(out.text, dim=-1), SCALE)
        assert total(method, out, batch) == pytest.approx(expected.item(), abs=1e-12)
    assert total(built(), out, batch) > total(method, out, batch)


def test_loss_is_zero_when_the_student_equals_the_teachers() -> None:
    method, (out, batch) = built(tau_s=0.5, tau_init=0.5), world_of(3, [0, 1, 2, 3])
    method.image_head, method.text_head = nn.Identity(), nn.Identity()  # type: ignore[assignment]  # the heads are Sequential
    same = EncoderOutput(out.image, 2 * out.image, out.logit_scale)
    terms = method(same, batch_of(3 * out.image, out.image, [0, 1, 2, 3]))
    assert terms["cusa_csa"].item() == pytest.approx(0, abs=1e-12)
    assert terms["cusa_usa"].item() == pytest.approx(0, abs=1e-12)
    other = method(same, batch)
    assert other["cusa_csa"] > 0.01
    assert other["cusa_usa"] > 0.01


def test_hard_labels_make_csa_infonce_at_its_own_temperature() -> None:
    method, (out, batch) = built(tau_s=1e-3), world_of(4, [0, 1, 2, 3, 4])
    expected = symmetric_info_nce(out.image, out.text, 1 / 0.45, batch.image_id)
    assert method(out, batch)["cusa_csa"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_soft_label_modes_agree_when_both_teachers_agree() -> None:
    out, batch = world_of(5, [0, 1, 2, 3])
    batch.teacher_text = batch.teacher_image = present(batch.teacher_image).abs()
    csa = [built(soft_labels=mode)(out, batch)["cusa_csa"].item() for mode in cusa.SOFT_LABELS]
    assert csa == pytest.approx([csa[0]] * 3)


def test_mean_all_equals_ce_with_weights_times_the_batch_size() -> None:
    ids = [0, 1, 2, 3, 4, 5]
    out, batch = world_of(6, ids)
    ours = total(built(alpha=0.1, beta=0.5, con_reduction="mean_all"), out, batch)
    assert ours == pytest.approx(total(built(alpha=0.1 * 6, beta=0.5 * 6), out, batch), abs=1e-12)

    # As released: the cross-entropy is also averaged over its B columns, the divergences are not.
    logits = SCALE * normalize(out.image, dim=-1) @ normalize(out.text, dim=-1).T
    targets = torch.eye(6, dtype=torch.float64)
    contrast = sum(-(x.log_softmax(1) * targets).mean(1).mean() for x in (logits, logits.T)) / 2
    terms = built()(out, batch)
    released = contrast + 0.1 * terms["cusa_csa"] + 0.5 * terms["cusa_usa"]
    assert ours == pytest.approx(6 * released.item(), abs=1e-12)


# -- properties ------------------------------------------------------------------------------------------


@given(st.permutations(range(6)))
@settings(deadline=None, max_examples=20)
def test_order_of_the_batch_and_values_of_ids_do_not_matter(order: list[int]) -> None:
    method, (out, batch) = built(), world_of(7, [0, 0, 1, 2, 2, 3])
    assert batch.teacher_image is not None
    assert batch.teacher_text is not None
    shuffled = EncoderOutput(out.image[order], out.text[order], out.logit_scale)
    ids = (99 - batch.image_id[order]).tolist()
    other = batch_of(batch.teacher_image[order], batch.teacher_text[order], ids)
    assert total(method, shuffled, other) == pytest.approx(total(method, out, batch))


def test_the_loss_is_symmetric_in_images_and_texts() -> None:
    method, (out, batch) = built(), world_of(8, [0, 1, 2, 3])
    turned = deepcopy(method)
    turned.image_head, turned.text_head = method.text_head, method.image_head
    assert batch.teacher_image is not None
    assert batch.teacher_text is not None
    swapped = turned(
        EncoderOutput(out.text, out.image, out.logit_scale),
        batch_of(batch.teacher_text, batch.teacher_image, [0, 1, 2, 3]),
    )
    for name, term in method(out, batch).items():
        assert swapped[name].item() == pytest.approx(term.item())


def test_captions_of_one_image_have_similarity_one_in_csa() -> None:
    method, (out, batch) = built(), world_of(9, [8, 8, 3])
    assert batch.teacher_text is not None
    before = method(out, batch)
    batch.teacher_text[1] = batch.teacher_text[0]
    batch.teacher_text[2] = normalize(batch.teacher_text[2], dim=-1)  # no change
    after = method(out, batch)
    assert after["cusa_usa"].item() != pytest.approx(before["cusa_usa"].item(), abs=1e-6)

    # The text teacher's word on (0, 1) is all that changed for captions 0 and 1 of one image; what it says
    # of caption 2 and them counts on. So with that fixed, too, CSA stays.
    of_two = batch_of(present(batch.teacher_image)[:2], present(batch.teacher_text)[:2], [8, 8])
    pair = EncoderOutput(out.image[:2], out.text[:2], out.logit_scale)
    alike = method(pair, of_two)["cusa_csa"].item()
    teacher = present(of_two.teacher_text)[0]
    of_two.teacher_text = torch.stack([teacher, -teacher])
    assert method(pair, of_two)["cusa_csa"].item() == alike


def test_csa_can_reach_zero_with_several_captions_per_image() -> None:
    method = built(tau_s=0.5, tau_init=0.5)
    image = torch.eye(DIM, dtype=torch.float64)[[0, 0, 1]]
    out = EncoderOutput(image, image, torch.tensor(SCALE, dtype=torch.float64))
    teacher_text = torch.eye(DIM, dtype=torch.float64)[[0, 1, 2]]  # three captions that say different things
    assert method(out, batch_of(image, teacher_text, [4, 4, 7]))["cusa_csa"].item() == pytest.approx(0)


def test_a_batch_of_one_has_zero_loss_and_finite_gradients() -> None:
    method, (out, batch) = built(), world_of(10, [5])
    out.image.requires_grad_()
    terms = method(out, batch)
    assert [term.item() for term in terms.values()] == [0, 0, 0]
    torch.stack([*terms.values()]).sum().backward()
    assert not present(out.image.grad).any()


@pytest.mark.parametrize("tau", [0.10, 0.99])
@pytest.mark.parametrize("tau_s", [1e-4, 1e4])
def test_finite_at_the_ends_of_the_temperatures(tau: float, tau_s: float) -> None:
    method, (out, batch) = built(tau_init=tau, tau_s=tau_s).float(), world_of(11, [*range(8)])
    image = out.image.float().requires_grad_()
    terms = method(EncoderOutput(image, -image.detach(), torch.tensor(100.0)), batch)
    loss = torch.stack([*terms.values()]).sum()
    loss.backward()
    assert loss.isfinite()
    assert all(present(x.grad).isfinite().all() for x in (image, *method.parameters()))


def test_a_zero_teacher_embedding_is_handled() -> None:
    method, (out, batch) = built(), world_of(12, [0, 1, 2])
    present(batch.teacher_text)[1] = 0
    assert all(term.isfinite() for term in method(out, batch).values())


def test_inputs_are_not_modified() -> None:
    method, (out, batch) = built(), world_of(13, [0, 0, 1])
    kept = deepcopy(out), deepcopy(batch)
    method(out, batch)
    for now, before in zip((out, batch), kept, strict=True):
        for name, value in vars(before).items():
            if isinstance(value, Tensor):
                assert torch.equal(getattr(now, name), value)


# -- temperatures and heads ------------------------------------------------------------------------------


@pytest.mark.parametrize(("pull", "bound"), [(-1.0, 0.99), (1.0, 0.10)])
def test_a_temperature_stays_at_its_bound_and_leaves_it_at_once(pull: float, bound: float) -> None:
    temperature = Temperature(0.45, 0.10, 0.99)
    optimiser = torch.optim.SGD(temperature.parameters(), lr=0.05)
    for _ in range(100):  # far beyond the bound, were it not put back
        (pull * temperature()).backward()
        optimiser.step()
        optimiser.zero_grad()
    assert temperature().item() == pytest.approx(bound)
    (-pull * temperature()).backward()
    assert temperature.value.grad is not None
    assert temperature.value.grad.item() == -pull
    optimiser.step()
    assert temperature().item() == pytest.approx(bound + 0.05 * pull)


def test_two_forward_passes_before_one_backward_pass() -> None:
    method = built()
    with torch.no_grad():
        method.cross_temperature.value.fill_(3.0)
    losses = [method(*world_of(seed, [0, 1, 2]))["cusa_csa"] for seed in (0, 1)]
    torch.stack(losses).sum().backward()
    assert method.cross_temperature.value.item() == 0.99
    assert method.cross_temperature.value.grad


def test_heads_repeat_with_the_seed_and_are_stored() -> None:
    torch.manual_seed(0)
    one, two, other = CUSA(), CUSA(), CUSA()
    for method, seed in ((one, 5), (two, 5), (other, 6)):
        torch.rand(1)
        method.build(Setup(dim=128, seed=seed))
    weights = [method.get_parameter("image_head.1.weight") for method in (one, two, other)]
    weight = weights[0]
    assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert weight.mean().item() == pytest.approx(0, abs=1e-3)
    assert torch.equal(weight, weights[1])
    assert not torch.equal(weight, weights[2])
    assert not torch.equal(weight, one.get_parameter("text_head.1.weight"))
    assert {"image_head.1.weight", "text_head.0.bias", "cross_temperature.value"} <= one.heads().keys()


# -- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"soft_labels": "eech"}, "soft_labels='eech'.*Did you mean 'each'"),
        ({"con_reduction": "mean"}, "con_reduction='mean'.*Did you mean 'mean_all'"),
        ({"alpha": -0.1}, r"alpha=-0\.1: must be at least 0"),
        ({"beta": -1}, "beta=-1: must be at least 0"),
        ({"tau_s": 0}, "tau_s=0: must be above 0"),
        ({"tau_init": 0.05}, r"tau_init=0\.05: must be in \[0\.1, 0\.99\]"),
        ({"tau_init": 1.0}, r"tau_init=1\.0: must be in \[0\.1, 0\.99\]"),
        ({"tau_init": math.nan}, "tau_init=nan"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make_method("cusa", options)


def test_missing_teachers_are_named() -> None:
    out, batch = world_of(14, [0, 1])
    batch.teacher_text = None
    with pytest.raises(ModelError, match=r"image teacher and a text teacher, .*open_teachers"):
        built()(out, batch)


# -- training --------------------------------------------------------------------------------------------


def run_options(**changes: Any) -> dict[str, Any]:
    small = {"model": "tiny/none", "vocab_size": 300, "batch_size": 16, "device": "cpu", "lr": 3e-3}
    return small | {"progress": False, "max_steps": 6, "save_every": 2, "captions_per_image": 2} | changes


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "open_clip_model.safetensors")


def differing(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]


def farthest(one: Path, other: Path) -> float:
    mine, theirs = weights(one), weights(other)
    return max((mine[name] - theirs[name]).abs().max().item() for name in mine)


def last_entry(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])


@pytest.mark.parametrize("features", [None, "cache"])
@pytest.mark.usefixtures("configs")
def test_a_resumed_run_equals_an_uninterrupted_run(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: str | None
) -> None:
    source, options = f"folder:{world}", run_options(image_features=features, validation=f"folder:{world}")
    options |= {"eval_every": 2}  # so that `out` has a trained model when the run resumes
    unbroken = train("cusa", source, out=tmp_path / "unbroken", **options)
    entry = last_entry(unbroken)
    assert entry["rsum"] > 0

    seen: list[None] = []
    forward = CUSA.forward

    def breaking(method: CUSA, *given: Any) -> dict[str, Tensor]:
        seen.append(None)
        if len(seen) == 5:
            raise RuntimeError("the power is gone")
        return forward(method, *given)

    with monkeypatch.context() as patch:
        patch.setattr(CUSA, "forward", breaking)
        with pytest.raises(RuntimeError, match="power"):
            train("cusa", source, out=tmp_path / "out", **options)
    out = train("cusa", source, out=tmp_path / "out", resume=True, **options)
    assert differing(load_file(out / "state.safetensors"), load_file(unbroken / "state.safetensors")) == []
    assert differing(weights(out / "last"), weights(unbroken / "last")) == []
    assert differing(load_file(out / "heads.safetensors"), load_file(unbroken / "heads.safetensors")) == []


@pytest.mark.usefixtures("configs")
def test_a_run_without_soft_labels_is_a_run_of_infonce(world: Path, tmp_path: Path) -> None:
    source = f"folder:{world}"
    off = {"alpha": 0.0, "beta": 0.0}
    out = train("cusa", source, out=tmp_path / "cusa", options=off, **run_options(captions_per_image=1))
    plain = train("infonce", source, out=tmp_path / "infonce", **run_options(captions_per_image=1))
    on = train("cusa", source, out=tmp_path / "on", **run_options(captions_per_image=1))
    assert farthest(out, plain) < 1e-4  # the sums of gradients are rounded otherwise
    assert farthest(on, plain) > 1e-3
    assert last_entry(out)["loss"] == pytest.approx(last_entry(plain)["loss"], abs=1e-5)


@pytest.mark.parametrize("name", ["ascl+cusa", "coder+cusa", "infonce+cusa"])
@pytest.mark.parametrize("features", [None, "cache"])
@pytest.mark.usefixtures("configs")
def test_combined_with_another_method(world: Path, tmp_path: Path, name: str, features: str | None) -> None:
    other = name.partition("+")[0]
    options = {"queue": 16} if other == "coder" else {}
    settings = run_options(image_features=features, options=options, max_steps=4)
    entry = last_entry(train(name, f"folder:{world}", out=tmp_path / "out", **settings))
    assert all(math.isfinite(value) for value in entry.values())
    assert ("infonce" in entry) == (not METHODS[other].replaces_infonce)
    assert {"cusa_csa", "cusa_usa"} <= entry.keys()
