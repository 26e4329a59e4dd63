"""The training in JavaScript is that of torch, and its measures are those of the analysis."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import Page
from safetensors import safe_open
from safetensors.numpy import load_file

from analysis.geometry import alignment, uniformity
from itr_core.methods.components.info_nce import symmetric_info_nce
from itr_core.methods.cusa import cosines, soft_label_kl
from itr_core.metrics import retrieval_metrics
from ui.web.learn.train import DATA

pytestmark = pytest.mark.ui

FILE = DATA / "features.safetensors"
SETTINGS = {"method": "infonce", "tau": 0.07, "batch": 64, "soft": 2.0, "seed": 5}
START = """
const heads = await import('/heads.js');
const features = heads.readFeatures(await (await fetch('/features.safetensors')).arrayBuffer());
const lists = ({image, text}) => ({image: [...image], text: [...text]});
"""


def on_page(page: Page, body: str, settings: dict[str, Any]) -> Any:
    return page.evaluate(f"async (settings) => {{ {START} {body} }}", settings)


def rows(name: str) -> torch.Tensor:
    """Return the features of the file as the browser uses them: unit vectors."""
    return F.normalize(torch.from_numpy(load_file(FILE)[name]).double(), dim=1)


def head(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(64, 32).requires_grad_()


def loss_of(
    images: torch.Tensor, texts: torch.Tensor, heads: dict[str, torch.Tensor], method: str
) -> torch.Tensor:
    v, t = (F.normalize(x @ heads[name], dim=1) for x, name in ((images, "image"), (texts, "text")))
    if method == "pairs":
        return ((v - t) ** 2).sum(1).mean()
    loss = symmetric_info_nce(v, t, 1 / 0.07, torch.arange(len(v)))
    if method == "cusa":
        logits = v @ t.T / 0.45
        i2t, t2i = (soft_label_kl(cosines(x) / 0.1, s) for x, s in ((images, logits), (texts, logits.T)))
        loss = loss + 2 * (i2t + t2i) / 2
    return loss


@pytest.mark.parametrize("method", ["infonce", "cusa", "pairs"])
def test_a_run_on_whole_batches_is_that_of_torch(modules: Page, method: str) -> None:
    """A batch of all pairs needs no random numbers but those of the first weights."""
    body = """
    const training = new heads.Training(features, settings);
    const start = lists(training.heads);
    const losses = Array.from({length: 5}, () => training.step());
    return {start, losses, end: lists(training.heads)};
    """
    found = on_page(modules, body, SETTINGS | {"method": method, "batch": 512})
    weights = {name: head(values) for name, values in found["start"].items()}
    optimiser = torch.optim.Adam(weights.values(), lr=0.01)
    for loss in found["losses"]:
        optimiser.zero_grad()
        expected = loss_of(rows("images")[:512], rows("captions")[:512], weights, method)
        assert loss == pytest.approx(expected.item(), abs=1e-5)
        expected.backward()
        optimiser.step()
    for name, values in found["end"].items():
        assert torch.allclose(head(values), weights[name], atol=1e-6)


def test_measures_are_those_of_the_analysis_on_the_held_out_pairs(modules: Page) -> None:
    body = """
    const training = new heads.Training(features, settings);
    for (let i = 0; i < 20; i++) training.step();
    return {...lists(training.heads), ...training.measure()};
    """
    found = on_page(modules, body, SETTINGS)
    v, t = (
        F.normalize(rows(name)[512:] @ head(found[each]), dim=1).detach().numpy()
        for name, each in (("images", "image"), ("captions", "text"))
    )
    assert found["alignment"] == pytest.approx(alignment(v, t), abs=1e-6)
    assert found["uniformity"] == pytest.approx(uniformity(np.concatenate([v, t])), abs=1e-6)
    assert found["r1"] == pytest.approx(retrieval_metrics(v @ t.T, np.arange(len(t)))["t2i_r1"])


def test_equal_embeddings_have_no_hit(modules: Page) -> None:
    body = """
    const ones = new Float64Array(10 * 4).fill(1), w = new Float64Array(4 * heads.DIM).fill(1);
    return heads.measures(ones, ones, {image: w, text: w}, 4);
    """
    found = on_page(modules, body, SETTINGS)
    assert found == {"alignment": pytest.approx(0), "uniformity": pytest.approx(0), "r1": 0}


def test_the_seed_decides_the_run(modules: Page) -> None:
    body = """
    const training = new heads.Training(features, settings);
    return Array.from({length: 3}, () => training.step());
    """
    first, again, other = (on_page(modules, body, SETTINGS | {"seed": seed}) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_a_batch_has_no_pair_twice(modules: Page) -> None:
    body = "return new heads.Training(features, settings).batch();"
    batch = on_page(modules, body, SETTINGS | {"batch": 128})
    assert len(set(batch)) == 128
    assert max(batch) < 512


def test_the_file_of_features_says_what_it_has(modules: Page) -> None:
    with safe_open(FILE, framework="np") as file:
        about = file.metadata()
    assert "learn_data.py features" in about["command"]
    found = on_page(
        modules, "return {...features, images: [...features.images.slice(0, 64)], captions: 0};", {}
    )
    assert found["held"] == 256
    assert found["images"] == pytest.approx(rows("images")[0].tolist())
