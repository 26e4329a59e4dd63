"""CODER: terms computed explicitly over several steps, gradient flow, and training."""

import json
import math
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import normalize

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.encoders.dual_encoder import load_encoder
from itr_core.encoders.heads import ConceptRole, Roles
from itr_core.errors import ModelError
from itr_core.features.image_rows import cached_pixels
from itr_core.methods import Setup, make_method
from itr_core.methods.coder import CLUSTER_TEMPERATURE, CODER, pseudo_label_loss
from itr_core.methods.components import online_clusters
from itr_core.methods.components.info_nce import symmetric_info_nce
from itr_core.pairs import load_pairs
from itr_core.supervision.concept_graph import ConceptGraph, normalised
from itr_core.training import train
from itr_core.training.batches import EpochPlan, PairBatchDataset
from itr_core.training.config import TrainConfig
from itr_core.training.train_step import TrainStep
from tests.support import present

D, K, B, N = 8, 5, 4, 24
GRAPH = ConceptGraph([f"word{k}" for k in range(K)], normalised(np.tri(K, dtype=np.bool_)))


def encode_texts(texts: list[str]) -> np.ndarray:
    return np.random.default_rng(len(texts)).standard_normal((len(texts), D)).astype(np.float32)


SETUP = Setup(dim=D, captions=[["a"]] * N, concepts=GRAPH, encode_texts=encode_texts, seed=1)


def coder(**options: Any) -> CODER:
    method = CODER(**{"queue": 6, "clusters": 3} | options)
    method.build(SETUP)
    method.prepare(SETUP)
    return method


def step(seed: int, ids: list[int] | None = None, scale: float = 15.0) -> tuple[EncoderOutput, PairBatch]:
    """Random encoder outputs with slightly perturbed keys, and their batch."""
    generator = torch.Generator().manual_seed(seed)
    n = len(ids) if ids is not None else B
    image, text, image_key, text_key = (torch.randn(n, D, generator=generator) for _ in range(4))
    keys = EncoderOutput(image + 0.3 * image_key, text + 0.3 * text_key, torch.tensor(1.0))
    out = EncoderOutput(
        image.requires_grad_(), text.requires_grad_(), torch.tensor(scale, requires_grad=True)
    )
    out.momentum = keys
    batch = PairBatch(
        text=torch.zeros(n, 1, dtype=torch.int64),
        image_id=torch.tensor(ids if ids is not None else [(seed * B + i) % N for i in range(n)]),
        captions=[""] * n,
        concepts=(torch.rand(n, K, generator=generator) < 0.5).float(),
    )
    return out, batch


# -- the instance branch, written out --------------------------------------------------------------------


@pytest.mark.parametrize("batch_negatives", [True, False])
@pytest.mark.parametrize("live_batch", [True, False])
@pytest.mark.parametrize("scale", [15.0, 3.0, 500.0])
def test_instance_loss_equals_explicit_sums_over_steps(
    batch_negatives: bool, live_batch: bool, scale: float
) -> None:
    branch = {"batch_negatives": batch_negatives, "live_batch": live_batch, "concept_branch": False}
    method = coder(scheme="exp", sharpness=2.0, **branch)
    past: deque[tuple[tuple[Tensor, Tensor], int]] = deque(maxlen=6)
    tau = min(max(1 / scale, 0.01), 0.1)
    for number in range(5):
        ids = [number, number + 1, number, 9]  # two captions of an image, images of the last steps
        out, batch = step(number, ids, scale)
        assert out.momentum is not None
        live, keys = (
            [
                ((v.double() / v.double().norm(), t.double() / t.double().norm()), i)
                for v, t, i in zip(each.image.detach(), each.text.detach(), ids, strict=True)
            ]
            for each in (out, out.momentum)
        )
        own, full = live if live_batch else keys, len(past) == 6
        others = (own if batch_negatives or not full else []) + ([*past] if full else [])
        total = 0.0
        for i in range(4):
            for side, other in ((0, 1), (1, 0)):
                anchor = live[i][0][side]
                s = [float(anchor @ key[other]) for key, image in others if image != ids[i]]
                right = math.exp(float(anchor @ own[i][0][other]) / tau)
                hardness = sum(math.exp(2 * each) for each in s)
                rest = sum(len(s) * math.exp(2 * each) / hardness * math.exp(each / tau) for each in s)
                total -= math.log(right / (right + rest)) / (2 * 4)
        assert method(out, batch)["coder_dcl_instance"].item() == pytest.approx(total, rel=1e-4)
        past.extend(keys)


@pytest.mark.parametrize("live_batch", [True, False])
def test_without_queue_and_weighting_it_is_infonce(live_batch: bool) -> None:
    method = coder(queue=0, scheme="none", concept_branch=False, live_batch=live_batch)
    out, batch = step(0, [3, 3, 4, 5])
    out.momentum = EncoderOutput(out.image.detach(), out.text.detach(), out.logit_scale)
    inputs = out.image, out.text, out.logit_scale
    for _ in range(2):
        loss = method(out, batch)["coder_dcl_instance"]
        expected = symmetric_info_nce(*inputs, batch.image_id)
        torch.testing.assert_close(loss, expected)
        gradients, right = (torch.autograd.grad(each, inputs) for each in (loss, expected))
        for gradient, same in zip(gradients[:2], right[:2], strict=True):
            assert torch.allclose(gradient, same, atol=1e-6) == live_batch  # MoCo's keys pass none on
        torch.testing.assert_close(gradients[2], right[2])


@pytest.mark.parametrize("live_batch", [True, False])
def test_only_a_live_batch_sends_gradients_to_both_sides_of_a_mistake(live_batch: bool) -> None:
    """An image that retrieves a wrong text has a gradient for that text only without keys."""
    method = coder(queue=0, scheme="none", concept_branch=False, live_batch=live_batch)
    e, f = torch.eye(D)[0], torch.eye(D)[1]
    _, batch = step(0, [0, 1])
    # Both texts find their images with certainty; image 0 cannot tell the texts apart.
    image, text = torch.stack([e + f, f]), torch.stack([e, f]).requires_grad_()
    out = EncoderOutput(image, text, torch.tensor(100.0))
    out.momentum = EncoderOutput(torch.stack([e, f]), text.detach(), out.logit_scale)
    (gradient,) = torch.autograd.grad(method(out, batch)["coder_dcl_instance"], text)
    assert (gradient.abs().max() > 1) == live_batch


def test_keys_are_enqueued_after_the_loss() -> None:
    method = coder(queue=B)
    out, batch = step(0)
    first = method(out, batch)
    torch.testing.assert_close(first, coder(queue=0)(out, batch))  # only the batch to contrast with
    assert method.instances.ids.tolist() == batch.image_id.tolist()
    assert method.descriptors.ids.tolist() == batch.image_id.tolist()
    torch.testing.assert_close(method.instances.image, normalize(present(out.momentum).image, dim=-1))
    second = method(*step(1))
    assert second["coder_dcl_instance"] > coder(queue=0)(*step(1))["coder_dcl_instance"] + 0.1


def test_only_training_changes_its_state() -> None:
    method = coder()
    for number in range(2):
        method(*step(number))
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.eval()
    method(*step(5))
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    method.train()
    method(*step(5))
    changed = {name for name, value in method.state_dict().items() if not torch.equal(value, before[name])}
    assert {"instances.image", "descriptors.text", "instances.ids", "clusters.prototypes"} <= changed


# -- the concept branch and what couples the two ---------------------------------------------------------


def test_terms_and_weights_have_the_same_names() -> None:
    for options in ({}, {"concept_branch": False}, {"lambda_kl": 0.2}):
        method = coder(**options)
        assert method(*step(0)).keys() == method.weights.keys()
    assert coder(lambda_c=2.0, lambda_p=0.25, lambda_kl=0.125).weights == {
        "coder_dcl_instance": 1.0,
        "coder_dcl_concept": 2.0,
        "coder_pcl": 0.25,
        "coder_concept_kl": 0.125,
    }
    assert coder().needs == {"momentum", "concepts"}
    assert coder(concept_branch=False).needs == {"momentum"}


def test_pseudo_label_loss_written_out() -> None:
    image, text = torch.randn(2, B, 3, dtype=torch.float64).unbind()
    labels = torch.rand(B, 3, dtype=torch.float64)
    labels /= labels.sum(1, keepdim=True)
    expected = 0.0
    for q, v, t in zip(labels.tolist(), image.tolist(), text.tolist(), strict=True):
        for logits in (v, t):
            total = sum(math.exp(value / CLUSTER_TEMPERATURE) for value in logits)
            p = [math.exp(value / CLUSTER_TEMPERATURE) / total for value in logits]
            expected -= sum(a * math.log(b) for a, b in zip(q, p, strict=True)) / (2 * B)
    assert pseudo_label_loss(image, text, labels).item() == pytest.approx(expected)
    inputs = image.requires_grad_(), text.requires_grad_()
    assert torch.autograd.gradcheck(lambda v, t: pseudo_label_loss(v, t, labels), inputs)


def test_pseudo_labels_train_the_concept_branch_alone() -> None:
    method = coder(lambda_kl=1.0)
    out, batch = step(0)
    inputs = [out.image, out.text, out.logit_scale]
    terms = method(out, batch)
    trained = [weight for weight in method.parameters() if weight.requires_grad]

    def reached(term: str, targets: Sequence[Tensor]) -> list[bool]:
        found = torch.autograd.grad(terms[term], targets, retain_graph=True, allow_unused=True)
        return [gradient is not None and bool(gradient.any()) for gradient in found]

    assert not any(reached("coder_pcl", inputs))
    assert all(reached("coder_pcl", trained))
    assert all(reached("coder_dcl_concept", inputs))
    assert all(reached("coder_dcl_instance", inputs))
    assert reached("coder_concept_kl", inputs) == [True, False, False]


def test_descriptors_of_keys_come_from_the_momentum_copy() -> None:
    still, moving = coder(momentum=1.0), coder(momentum=0.0)
    for method in (still, moving):
        before = [weight.clone() for weight in method.concepts.parameters()]
        method(*step(0))
        with torch.no_grad():
            for weight in method.concepts.parameters():
                weight.add_(0.1)
        method(*step(1))
        now = [*method.ema_branch.module.parameters()]
        expected = before if method is still else [*method.concepts.parameters()]
        assert all(torch.equal(a, b) for a, b in zip(now, expected, strict=True))
        assert not any(weight.requires_grad for weight in now)
        assert torch.equal(method.ema_branch.module.nodes, method.concepts.nodes)
        assert method.concepts.nodes.any()


def test_the_seed_alone_determines_the_initial_weights() -> None:
    torch.manual_seed(3)
    one = coder().state_dict()
    other = coder().state_dict()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("method", ["coder", "coder+infonce"])
def test_heads_suffice_to_compute_descriptors(method: str) -> None:
    made = make_method(method, {"queue": 6})
    made.build(SETUP)
    heads = {name.removeprefix("coder."): value for name, value in made.heads().items()}
    assert {"concepts.nodes", "concepts.adjacency", "guess_image.weight"} <= heads.keys()
    assert not [name for name in heads if name.startswith(("following", "instances", "descriptors"))]
    assert coder(concept_branch=False).heads() == {}


# -- beside others ---------------------------------------------------------------------------------------


def test_negatives_that_teachers_find_similar_weigh_less() -> None:
    method = coder(queue=0, scheme="none", concept_branch=False)
    out, batch = step(0)
    plain = method(out, batch)["coder_dcl_instance"]
    batch.teacher_image, batch.teacher_text = torch.eye(B), 5 * torch.eye(B)
    torch.testing.assert_close(method(out, batch)["coder_dcl_instance"], plain)
    batch.teacher_image = -torch.eye(B) + 2 * torch.eye(B)[:, :1]  # opposites are no doubt at all
    assert method(out, batch)["coder_dcl_instance"] <= plain
    batch.teacher_image = batch.teacher_text = torch.eye(3)[:1].expand(B, 3)
    assert method(out, batch)["coder_dcl_instance"] == 0


def test_teachers_do_not_change_negatives_of_the_queue() -> None:
    plain, taught = (coder(scheme="none", concept_branch=False) for _ in range(2))
    for number in range(3):
        out, batch = step(number)
        expected = plain(out, batch)["coder_dcl_instance"]
        batch.teacher_image = batch.teacher_text = torch.eye(3)[:1].expand(B, 3)
        found = taught(out, batch)["coder_dcl_instance"]
        assert 0 <= found < expected
        assert (found > 0) == (number == 2)  # 6 places, full after two steps


def test_replaces_infonce_in_combinations() -> None:
    both = make_method("coder+infonce", {"queue": 6, "concept_branch": False})
    both.build(SETUP)
    assert both(*step(0)).keys() == both.weights.keys() == {"coder_dcl_instance"}
    assert both.momentum == 0.995


# -- properties ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["none", "exp", "zscore", "adaptive_beta", "hal"])
@pytest.mark.parametrize("scale", [1e-3, 1e6])
def test_finite_for_one_pair_and_at_the_ends_of_the_temperature(scheme: str, scale: float) -> None:
    method = coder(scheme=scheme, lambda_kl=1.0, queue=2)
    for number in range(4):
        out, batch = step(number, [number], scale)
        torch.stack([*method(out, batch).values()]).sum().backward()
        for gradient in (out.image.grad, out.text.grad):
            assert present(gradient).isfinite().all()
    trained = [weight for weight in method.parameters() if weight.requires_grad]
    assert all(present(weight.grad).isfinite().all() for weight in trained)


def test_inputs_are_not_modified() -> None:
    method, (out, batch) = coder(lambda_kl=1.0), step(0, [0, 0, 1, 2])
    keys = present(out.momentum)
    given = out.image, out.text, keys.image, keys.text, batch.image_id, present(batch.concepts)
    before = [tensor.clone() for tensor in given]
    method(out, batch)
    assert all(map(torch.equal, given, before))


def test_order_of_the_batch_does_not_matter() -> None:
    order = [2, 0, 3, 1]
    terms = []
    for rows in (slice(None), order):
        method = coder(lambda_kl=1.0, queue=8)
        for number in range(3):
            out, batch = step(number, [number, 8, number + 1, 8])
            moved = EncoderOutput(out.image[rows], out.text[rows], out.logit_scale)
            keys = present(out.momentum)
            moved.momentum = EncoderOutput(keys.image[rows], keys.text[rows], out.logit_scale)
            batch.image_id, batch.concepts = batch.image_id[rows], present(batch.concepts)[rows]
            found = method(moved, batch)
        terms.append(found)
    for name, term in terms[0].items():
        torch.testing.assert_close(terms[1][name], term)


# -- the copy that follows the encoder -------------------------------------------------------------------


def learner(world: Path, momentum: float, model: str = "tiny/none") -> tuple[TrainStep, PairBatchDataset]:
    method = CODER(queue=8, momentum=momentum, concept_branch=False)
    method.build(Setup(dim=32, captions=[["a"]] * 64))
    config = TrainConfig("coder", "x", model, crop=0.0, warmup=0.0, lr=1e-2)
    made = TrainStep(config, load_encoder(model, device="cpu"), method, Accelerator(cpu=True))
    pairs = load_pairs(f"folder:{world}")
    images = cached_pixels(pairs, made.encoder, workers=0, progress=False)
    return made, PairBatchDataset(
        images, pairs.captions, made.encoder.tokenizer, EpochPlan(np.arange(64), 8, 0)
    )


def keys_of(made: TrainStep, batches: PairBatchDataset, number: int) -> EncoderOutput:
    """Return the keys that the method receives for batch `number`."""
    met: list[EncoderOutput] = []
    hook = made.method.register_forward_pre_hook(lambda _, inputs: met.append(inputs[0]))
    made.update([batches[number]], number, 10)
    hook.remove()
    assert met[0].momentum is not None
    assert not met[0].momentum.image.requires_grad
    assert not met[0].momentum.text.requires_grad
    assert met[0].image.requires_grad
    return met[0]


@pytest.mark.usefixtures("configs")
@pytest.mark.parametrize("model", ["tiny/none", "tiny-conv/none"])
def test_with_momentum_one_keys_come_from_the_initial_model(world: Path, model: str) -> None:
    made, batches = learner(world, 1.0, model)
    start = [value.clone() for value in (*made.encoder.parameters(), *made.encoder.buffers())]
    first = keys_of(made, batches, 0)
    keys_of(made, batches, 1)
    again = keys_of(made, batches, 0)
    assert torch.equal(present(first.momentum).image, present(again.momentum).image)
    assert torch.equal(present(first.momentum).text, present(again.momentum).text)
    assert not torch.equal(first.image, again.image)
    module = made.momentum.module
    assert all(map(torch.equal, (*module.parameters(), *module.buffers()), start))


@pytest.mark.usefixtures("configs")
def test_with_momentum_zero_keys_come_from_the_current_weights(world: Path) -> None:
    made, batches = learner(world, 0.0)
    for number in range(3):
        met = keys_of(made, batches, number)
        torch.testing.assert_close(present(met.momentum).image, met.image.detach(), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(present(met.momentum).text, met.text.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("configs")
def test_the_momentum_copy_is_updated_before_the_keys_are_computed(world: Path) -> None:
    made, batches = learner(world, 0.75)
    keys_of(made, batches, 0)
    copy = [weight.clone() for weight in made.momentum.module.parameters()]
    ahead = [weight.clone() for weight in made.encoder.parameters()]
    keys_of(made, batches, 1)
    for now, old, new in zip(made.momentum.module.parameters(), copy, ahead, strict=True):
        torch.testing.assert_close(now, 0.75 * old + 0.25 * new)


@pytest.mark.usefixtures("configs")
def test_the_momentum_copy_shares_batch_statistics_without_changing_them(world: Path) -> None:
    made, batches = learner(world, 0.9, "tiny-conv/none")
    keys_of(made, batches, 0)
    before = {name: value.clone() for name, value in made.encoder.named_buffers()}
    assert any("running_mean" in name for name in before)
    keys_of(made, batches, 1)
    copied = dict(made.momentum.module.named_buffers())
    assert all(torch.equal(copied[name], value) for name, value in before.items())
    after = dict(made.encoder.named_buffers())
    assert any(not torch.equal(after[name], value) for name, value in before.items())


# -- training --------------------------------------------------------------------------------------------


def settings(**changes: Any) -> dict[str, Any]:
    small = {"model": "tiny/none", "vocab_size": 300, "batch_size": 16, "device": "cpu", "lr": 3e-3}
    small |= {"crop": 0.0, "progress": False, "max_steps": 8}
    return small | {"options": {"queue": 32, "clusters": 20, "lambda_kl": 0.1}} | changes


@pytest.mark.usefixtures("configs")
@pytest.mark.parametrize("image_features", [None, "cache"])
def test_trains_and_resumes_exactly(
    world: Path, tmp_path: Path, image_features: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online_clusters, "UNUSED_STEPS", 3)  # so that some are replaced within few steps,
    options = settings(image_features=image_features, save_every=2, accumulate=2)  # of 20, with batches of 16
    unbroken = train("coder", f"folder:{world}", out=tmp_path / "unbroken", **options)
    lines = [json.loads(line) for line in (unbroken / "metrics.jsonl").read_text().splitlines()]
    assert {"coder_dcl_instance", "coder_dcl_concept", "coder_pcl", "coder_concept_kl"} <= lines[-1].keys()
    assert all(math.isfinite(value) for value in lines[-1].values())

    update = TrainStep.update

    def interrupted(self: TrainStep, loaded: Any, number: int, total: int) -> dict[str, float]:
        if number == 5:
            raise KeyboardInterrupt
        return update(self, loaded, number, total)

    monkeypatch.setattr(TrainStep, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train("coder", f"folder:{world}", out=tmp_path / "broken", **options)
    monkeypatch.setattr(TrainStep, "update", update)
    broken = train("coder", f"folder:{world}", out=tmp_path / "broken", resume=True, **options)
    for file in ("state.safetensors", "open_clip_model.safetensors", "heads.safetensors"):
        one, other = load_file(unbroken / file), load_file(broken / file)
        assert one.keys() == other.keys()
        assert [name for name in one if not torch.equal(one[name], other[name])] == []
    names = load_file(unbroken / "state.safetensors").keys()
    assert {"method/instances.image", "method/descriptors.ids", "method/clusters.prototypes"} <= names
    assert [name for name in names if name.startswith("momentum/module.")]


@pytest.mark.usefixtures("configs")
def test_learns(world: Path, tmp_path: Path) -> None:
    source = f"folder:{world}"
    options = settings(max_steps=100, eval_every=100, validation=source)
    out = train("coder", source, out=tmp_path / "out", **options)
    assert json.loads((out / "training.json").read_text())["best"]["rsum"] > 200  # chance is 50


# -- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "zscor"}, r"scheme='zscor': unknown weighting scheme\. Did you mean 'zscore'"),
        ({"queue": -2}, "queue=-2: must be at least -1"),
        ({"lambda_s": -0.5}, r"lambda_s=-0\.5: must be at least 0, or -1 to choose it on the validation"),
        ({"clusters": 1}, "clusters=1: must be at least 2"),
        ({"sharpness": -0.5}, r"sharpness=-0\.5: must be at least 0"),
        ({"lambda_p": -1.0}, r"lambda_p=-1\.0: must be at least 0"),
        ({"momentum": 1.5}, r"momentum=1\.5: must be between 0 and 1"),
        ({"queue": 0, "batch_negatives": False}, "there are no negatives"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make_method("coder", options)


@pytest.mark.usefixtures("configs")
def test_a_queue_longer_than_the_data_is_refused(world: Path, tmp_path: Path) -> None:
    make = settings(options={"queue": 65})
    message = r"queue=65: .* \(64 images\)\. Choose a shorter one: --options queue=32"
    with pytest.raises(ModelError, match=message):
        train("coder", f"folder:{world}", out=tmp_path / "out", **make)
    assert not (tmp_path / "out" / "state.safetensors").exists()
    coder(queue=N)  # as many as there are is well


@pytest.mark.parametrize(("images", "queue"), [(10_000, 4096), (8192, 4096), (500, 250), (1, 0)])
def test_the_default_queue_fits_the_source(images: int, queue: int) -> None:
    method = CODER(concept_branch=False)
    combined = make_method("coder+infonce", {"concept_branch": False})
    for made in (method, combined):
        made.build(Setup(dim=D, captions=[["a"]] * images))
        assert [f"queue holds {queue} pairs" in note for note in made.notes] == [True] * (queue < 4096)
    assert len(method.instances.ids) == queue


def test_the_weight_of_the_concept_branch_in_retrieval() -> None:
    assert coder().roles() == Roles(concepts=ConceptRole(names=list(GRAPH.names)))
    assert coder(lambda_s=0.4).roles().extra_weight == 0.4
    assert coder(lambda_s=0.0).roles() == coder(concept_branch=False).roles() == Roles()
