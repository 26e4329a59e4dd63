"""The loss against loops over its equation."""

import numpy as np
import pytest
import torch

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.errors import ModelError
from itr_core.methods import make_method


def loops(image: np.ndarray, text: np.ndarray, ids: list[int], margin: float) -> float:
    """The equation, word for word."""
    v = image / np.linalg.norm(image, axis=1, keepdims=True)
    t = text / np.linalg.norm(text, axis=1, keepdims=True)
    total = 0.0
    for i in range(len(ids)):
        others = [j for j in range(len(ids)) if ids[j] != ids[i]]
        total += max(0.0, margin - v[i] @ t[i] + max(v[i] @ t[j] for j in others))
        total += max(0.0, margin - v[i] @ t[i] + max(v[j] @ t[i] for j in others))
    return total / len(ids)


@pytest.mark.parametrize("ids", [[0, 1, 2, 3], [0, 0, 1, 2]])
def test_the_loss_is_the_equation(ids: list[int]) -> None:
    image, text = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    out = EncoderOutput(image, text, torch.tensor(1.0))
    batch = PairBatch(torch.zeros(4, 1, dtype=torch.int64), torch.tensor(ids), ["a caption"] * 4)
    loss = make_method("vsepp", {"margin": 0.3})(out, batch)["vsepp"]
    assert loss.item() == pytest.approx(loops(image.numpy(), text.numpy(), ids, 0.3), rel=1e-5)


def test_no_negatives_no_loss() -> None:
    image, text = torch.randn(2, 3, 8)
    out = EncoderOutput(image, text, torch.tensor(1.0))
    batch = PairBatch(torch.zeros(3, 1, dtype=torch.int64), torch.tensor([5, 5, 5]), ["a caption"] * 3)
    assert make_method("vsepp")(out, batch)["vsepp"].item() == 0


def test_a_margin_out_of_range_is_named() -> None:
    with pytest.raises(ModelError, match="margin=3"):
        make_method("vsepp", {"margin": 3.0})
