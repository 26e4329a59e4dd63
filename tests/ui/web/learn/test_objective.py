"""The objectives in JavaScript have the values and gradients of itr_core's methods."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import Page

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.methods.base import Setup
from itr_core.methods.components.info_nce import symmetric_info_nce
from itr_core.methods.cusa import CUSA

pytestmark = pytest.mark.ui

N, DIM = 8, 5


def on_page(page: Page, function: str, *arguments: Any) -> Any:
    """Call a function of objective.js; lists of numbers become float64 arrays, and its arrays lists."""
    return page.evaluate(
        """async ([name, given]) => {
          const module = await import('/objective.js');
          const array = (one) => Array.isArray(one) ? Float64Array.from(one) : one;
          const found = module[name](...given.map(array));
          return found.gradient ? {...found, gradient: [...found.gradient]} : [...found];
        }""",
        [function, list(arguments)],
    )


def unit(random: np.random.Generator) -> torch.Tensor:
    return F.normalize(torch.from_numpy(random.normal(size=(N, DIM))), dim=1).requires_grad_()


def on_sphere(gradient: list[float], v: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Return the gradient by v of a loss of the cosines v t^T, within the sphere."""
    by_v = torch.tensor(gradient, dtype=torch.float64).view(N, N) @ t
    return by_v - (by_v * v).sum(1, keepdim=True) * v


@pytest.mark.parametrize("seed", range(20))
def test_infonce_is_that_of_the_core(modules: Page, seed: int) -> None:
    random = np.random.default_rng(seed)
    v, t, tau = unit(random), unit(random), float(10 ** random.uniform(-2, 0))
    expected = symmetric_info_nce(v, t, 1 / tau, torch.arange(N))
    expected.backward()
    found = on_page(modules, "infoNce", (v @ t.T).flatten().tolist(), N, tau)
    assert found["loss"] == pytest.approx(expected.item(), abs=1e-5)
    assert v.grad is not None
    assert torch.allclose(on_sphere(found["gradient"], v, t), v.grad, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_soft_labels_are_those_of_cusa(modules: Page, seed: int) -> None:
    random = np.random.default_rng(seed)
    v, t, images, captions = (unit(random) for _ in range(4))
    method = CUSA(alpha=1, beta=0, tau_s=0.1, tau_init=0.45)
    method.build(Setup(dim=DIM))
    batch = PairBatch(
        torch.zeros(N, 1, dtype=torch.int64), torch.arange(N), [""] * N,
        teacher_image=images.detach(), teacher_text=captions.detach(),
    )  # fmt: skip
    expected = method.double()(EncoderOutput(v, t, torch.tensor(1.0)), batch)["cusa_csa"]
    expected.backward()
    cosines = [(a @ b.T).flatten().tolist() for a, b in ((v, t), (images, images), (captions, captions))]
    found = on_page(modules, "softLabels", *cosines, N, 0.1, 0.45)
    assert found["loss"] == pytest.approx(expected.item(), abs=1e-5)
    assert v.grad is not None
    assert torch.allclose(on_sphere(found["gradient"], v, t), v.grad, atol=1e-5)


def test_a_low_temperature_gives_the_push_to_the_hardest_negative(modules: Page) -> None:
    cosines = np.random.default_rng(0).uniform(-1, 1, (N, N))
    shares = {}
    for tau in (0.01, 0.1, 100.0):
        logits = on_page(modules, "logSoftmax", (cosines / tau).ravel().tolist(), N)
        shares[tau] = np.mean(on_page(modules, "hardestShares", logits, N))
    assert shares[0.01] > shares[0.1] > shares[100.0]
    assert shares[100.0] == pytest.approx(1 / (N - 1), abs=0.01)
