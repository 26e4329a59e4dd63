"""The sigmoid loss: equal to plain loops and to open_clip, with a bias that the model learns and keeps."""

import json
import math
from pathlib import Path

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.loss import SigLipLoss
from safetensors.torch import load_file
from torch import Tensor

from itr_core import load_encoder
from itr_core.batch import EncoderOutput, PairBatch
from itr_core.encoders import checkpoints
from itr_core.errors import ModelError
from itr_core.methods import SigLIP, make_method, siglip
from itr_core.methods.siglip import sigmoid_loss
from itr_core.training import train
from tests.training.runs import log, settings

WEIGHTS = "open_clip_model.safetensors"


def embeddings(rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    image, text = torch.randn(2, rows, 6, generator=random, dtype=torch.float64)
    return image, text


def by_loops(image: Tensor, text: Tensor, scale: float, bias: float, ids: list[int]) -> float:
    v, t = F.normalize(image, dim=-1), F.normalize(text, dim=-1)
    total = 0.0
    for i in range(len(ids)):
        for j in range(len(ids)):
            logit = scale * float(v[i] @ t[j]) + bias
            if i == j:
                total += math.log(1 + math.exp(-logit))
            elif ids[i] != ids[j]:
                total += math.log(1 + math.exp(logit))
    return total / len(ids)


@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 4], [0, 0, 1, 1, 2], [7, 7, 7, 7, 7]])
@pytest.mark.parametrize(("scale", "bias"), [(10.0, -10.0), (117.0, -16.5), (1.0, 0.0)])
def test_equals_the_double_loop(ids: list[int], scale: float, bias: float) -> None:
    image, text = embeddings(5)
    loss = sigmoid_loss(image, text, scale, bias, torch.tensor(ids))
    assert loss.item() == pytest.approx(by_loops(image, text, scale, bias, ids), rel=1e-9)


def test_equals_open_clip_when_all_ids_differ() -> None:
    image, text = embeddings(8)
    scale, bias = torch.tensor(10.0), torch.tensor(-10.0)
    theirs = SigLipLoss()(F.normalize(image, dim=-1), F.normalize(text, dim=-1), scale, bias)
    assert sigmoid_loss(image, text, scale, bias, torch.arange(8)).item() == pytest.approx(theirs.item())


def test_captions_of_one_image_are_never_negatives_of_each_other() -> None:
    image, text = embeddings(4)
    image[1] = image[0]
    ids = torch.tensor([0, 0, 1, 2])
    text.requires_grad_(True)
    sigmoid_loss(image, text, 10.0, 5.0, ids).backward()
    assert text.grad is not None
    v, t = F.normalize(image, dim=-1), F.normalize(text.detach(), dim=-1)
    # The gradient of caption 1 has its own image as a positive, and images 2 and 3 as negatives.
    pull = -torch.sigmoid(-(10 * v[1] @ t[1] + 5)) * v[1]
    push = sum(torch.sigmoid(10 * v[row] @ t[1] + 5) * v[row] for row in (2, 3))
    direction = 10 / 4 * (pull + push)
    expected = (direction - (direction @ t[1]) * t[1]) / text[1].detach().norm()
    torch.testing.assert_close(text.grad[1], expected)


def test_blocks_give_the_same_loss_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = torch.tensor([0, 0, 1, 2, 3, 3, 4])
    found = []
    for large in (4096, 2):
        monkeypatch.setattr(siglip, "LARGE", large)
        monkeypatch.setattr(siglip, "BLOCK", 3)
        image, text = (each.requires_grad_(True) for each in embeddings(7))
        scale, bias = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (10.0, -10.0))
        loss = sigmoid_loss(image, text, scale, bias, ids)
        found.append([loss, *torch.autograd.grad(loss, [image, text, scale, bias])])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_the_method_needs_a_bias() -> None:
    image, text = embeddings(2)
    batch = PairBatch(torch.zeros(2, 3), torch.tensor([0, 1]), ["a", "b"])
    with pytest.raises(ModelError, match="bias"):
        SigLIP()(EncoderOutput(image, text, torch.tensor(10.0)), batch)
    out = EncoderOutput(image, text, torch.tensor(10.0), logit_bias=torch.tensor(-10.0))
    assert SigLIP()(out, batch)["siglip"] == sigmoid_loss(image, text, 10.0, -10.0, batch.image_id)


def test_in_a_combination_it_replaces_info_nce() -> None:
    assert make_method("siglip+cusa").weights.keys() == {"siglip", "cusa_csa", "cusa_usa"}


@pytest.mark.usefixtures("configs")
def test_a_trained_bias_is_saved_in_the_layout_of_open_clip(world: Path, tmp_path: Path) -> None:
    options = settings(max_steps=40, captions_per_image=2, lr=1e-2)
    out = train("siglip", f"folder:{world}", out=tmp_path / "out", **options)
    assert log(out)[-1]["loss"] < log(out)[0]["loss"]
    config = json.loads((out / "open_clip_config.json").read_text())["model_cfg"]
    assert (config["init_logit_bias"], config["init_logit_scale"]) == (-10.0, math.log(10))
    bias = load_file(out / WEIGHTS)["logit_bias"]
    assert bias.shape == ()
    assert -10.1 < bias < -9.5
    assert bias != -10
    plain, _ = open_clip.create_model_from_pretrained(f"local-dir:{out}")
    assert torch.equal(plain.logit_bias, bias)


@pytest.mark.usefixtures("configs")
def test_a_model_with_a_bias_keeps_its_temperature_above_the_limit_of_clip(
    world: Path, tmp_path: Path
) -> None:
    source = f"folder:{world}"
    first = train("siglip", source, out=tmp_path / "first", **settings(max_steps=1))
    encoder = load_encoder(str(first), device="cpu")
    scale = math.log(117)
    with torch.no_grad():
        encoder.model.logit_scale.fill_(scale)
        encoder.model.logit_bias.fill_(-16.5)
    checkpoints.save(tmp_path / "second", encoder.model, encoder.tokenizer, encoder.config)
    options = settings(max_steps=2, model=str(tmp_path / "second"), lr=1e-5)
    out = train("siglip", source, out=tmp_path / "third", **options)
    assert load_file(out / WEIGHTS)["logit_scale"].item() == pytest.approx(scale, abs=1e-3)
    assert load_file(out / WEIGHTS)["logit_bias"].item() == pytest.approx(-16.5, abs=1e-3)
