"""One training step: accumulation, temperature, learning rates and reproducible sums."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.features.image_rows import cached_pixels
from itr_core.methods import make_method
from itr_core.pairs import load_pairs
from itr_core.training.accelerator import deterministic
from itr_core.training.batches import EpochPlan, PairBatchDataset
from itr_core.training.config import TrainConfig
from itr_core.training.optimiser import make_optimiser, set_learning_rate
from itr_core.training.train_step import TrainStep

pytestmark = pytest.mark.usefixtures("configs")


@pytest.fixture
def train_step() -> TrainStep:
    config = TrainConfig("infonce", "x", "tiny/none", crop=0.0, warmup=0.0, clip=1e9)
    return TrainStep(
        config, load_encoder("tiny/none", device="cpu"), make_method("infonce"), Accelerator(cpu=True)
    )


def batches(world: Path, train_step: TrainStep, **options: Any) -> PairBatchDataset:
    pairs = load_pairs(f"folder:{world}")
    images = cached_pixels(pairs, train_step.encoder, workers=0, progress=False)
    return PairBatchDataset(
        images, pairs.captions, train_step.encoder.tokenizer, EpochPlan(np.arange(64), 8, 0), **options
    )


def test_accumulating_a_batch_twice_equals_that_batch_once(world: Path, train_step: TrainStep) -> None:
    batch = batches(world, train_step)[0]
    other = TrainStep(
        train_step.config,
        load_encoder("tiny/none", device="cpu"),
        make_method("infonce"),
        train_step.accelerator,
    )
    one, two = train_step.update([batch], 0, 10), other.update([batch, batch], 0, 10)
    assert one == pytest.approx(two, rel=1e-5)
    for mine, theirs in zip(train_step.encoder.parameters(), other.encoder.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=0)


def test_gradients_are_summed_in_a_fixed_order_by_several_threads() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 192, generator=generator, requires_grad=True)
    rows, upstream = (
        torch.randint(0, 24, (4000,), generator=generator),
        torch.randn(4000, 192, generator=generator),
    )

    def gradient() -> bytes:
        return torch.autograd.grad((weight[rows] * upstream).sum(), weight)[0].numpy().tobytes()

    torch.set_num_threads(2)
    with deterministic(torch.device("cpu")):  # otherwise about 12 of the 20 differ
        assert len({gradient() for _ in range(20)}) == 1
    torch.set_num_threads(1)


def test_temperature_is_at_least_a_hundredth(world: Path, train_step: TrainStep) -> None:
    scale = train_step.encoder.model.logit_scale
    scale.data.fill_(9.0)
    values = train_step.update([batches(world, train_step)[0]], 0, 10)
    assert scale.item() == pytest.approx(math.log(100))
    assert values["temperature"] == pytest.approx(0.01)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_fixed_temperature_stays(world: Path, temperature: float) -> None:
    config = TrainConfig("infonce", "x", "tiny/none", temperature=temperature, crop=0.0, warmup=0.0)
    encoder = load_encoder("tiny/none", device="cpu")
    step = TrainStep(config, encoder, make_method("infonce"), Accelerator(cpu=True))
    loaded = batches(world, step)
    temperatures = [step.update([loaded[number]], number, 10)["temperature"] for number in range(3)]
    assert temperatures == pytest.approx([temperature] * 3)


def test_every_weight_is_in_one_group_with_its_learning_rate_and_weight_decay() -> None:
    encoder = load_encoder("tiny/none")
    groups = make_optimiser(
        encoder,
        torch.nn.Linear(2, 2),
        lr=1.0,
        image_lr_factor=0.1,
        text_lr_factor=0.5,
        weight_decay=0.2,
    ).param_groups
    found = {id(weight): group for group in groups for weight in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(found)
    assert len(found) == len(list(encoder.parameters())) + 2
    model: Any = encoder.model
    expected = [
        (model.visual.conv1.weight, 0.1, 0.2),
        (model.visual.ln_post.bias, 0.1, 0.0),
        (model.visual.proj, 1.0, 0.2),
        (model.transformer.resblocks[0].attn.in_proj_weight, 0.5, 0.2),
        (model.text_projection, 1.0, 0.2),
        (model.logit_scale, 1.0, 0.0),
    ]
    for weight, rate, decay in expected:
        assert (found[id(weight)]["peak_lr"], found[id(weight)]["weight_decay"]) == (rate, decay)


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    optimiser = torch.optim.SGD([{"params": [torch.zeros(1)], "peak_lr": 2.0}])
    rates = []
    for step in range(100):
        set_learning_rate(optimiser, step, 100, warmup=0.1)
        rates.append(optimiser.param_groups[0]["lr"])
    assert rates[:10] == pytest.approx([0.2 * k for k in range(1, 11)])
    assert rates[10] == 2.0
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert rates[55] == pytest.approx(1.0)
    assert rates[99] < 0.001
    set_learning_rate(optimiser, 55, 100, warmup=0.1, floor=0.1)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(2 * (0.1 + 0.9 / 2))
    set_learning_rate(optimiser, 99, 100, warmup=0.1, floor=0.1)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.2, rel=0.01)


def test_the_betas_of_the_settings_reach_the_optimiser() -> None:
    settings = {"adam_beta1": 0.5, "adam_beta2": 0.999}
    config = TrainConfig(method="infonce", source="x", model="tiny/none", **settings)
    encoder = load_encoder("tiny/none", device="cpu")
    step = TrainStep(config, encoder, make_method("infonce"), Accelerator(cpu=True))
    assert {group["betas"] for group in step.optimiser.param_groups} == {(0.5, 0.999)}
