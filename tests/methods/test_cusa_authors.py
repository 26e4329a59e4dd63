"""CUSA equals the authors' code on fixed inputs.

The numbers are the output, in float64, of `ContrastiveLoss`, `KLContrastiveSimLoss` and `get_similarity` of
unire/model.py in github.com/lerogo/aaai24_itr_cusa (5b996f4), with the temperatures of its configurations.
"""

import pytest
import torch
from torch import Tensor, nn

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.methods.cusa import CUSA

PAIRS, DIM = 4, 5


def waves(rows: int, columns: int, phase: float) -> Tensor:
    n = torch.arange(rows * columns, dtype=torch.float64)
    return torch.sin(phase + 0.37 * n**2).reshape(rows, columns)


class Fixed(nn.Module):
    """A head with a fixed output."""

    def __init__(self, phase: float) -> None:
        super().__init__()
        self.output = nn.Parameter(waves(PAIRS, DIM, phase))

    def forward(self, _: Tensor) -> Tensor:
        """Return the output."""
        return self.output


def method_with(**options: object) -> CUSA:
    method = CUSA(**options)  # type: ignore[arg-type]  # options of several types
    method.double()
    for temperature in (method.cross_temperature, method.image_temperature, method.text_temperature):
        nn.init.constant_(temperature.value, 0.45)  # CUSA stores it as float32
    method.image_head, method.text_head = Fixed(4.0), Fixed(5.0)  # type: ignore[assignment]  # for Sequential
    return method


def fixed_inputs() -> tuple[EncoderOutput, PairBatch]:
    image = waves(PAIRS, DIM, 0.3).requires_grad_()
    out = EncoderOutput(image, waves(PAIRS, DIM, 1.1), torch.tensor(20.0, dtype=torch.float64))
    batch = PairBatch(
        torch.zeros(PAIRS, 1, dtype=torch.int64),
        torch.arange(PAIRS),
        [""] * PAIRS,
        teacher_image=waves(PAIRS, 6, 2.0),
        teacher_text=waves(PAIRS, 7, 3.0),
    )
    return out, batch


@pytest.mark.parametrize(
    ("soft_labels", "tau_s", "expected"),
    [
        ("each", 1.0, 0.1387600689192728),
        ("each", 0.3, 0.5085728896374803),
        ("add", 1.0, 0.13184132171429425),
        ("add", 0.3, 0.5536581984860182),
        ("dot", 1.0, 0.1476992939556567),
        ("dot", 0.3, 0.5000805740068951),
    ],
)
def test_cross_modal_alignment(soft_labels: str, tau_s: float, expected: float) -> None:
    terms = method_with(soft_labels=soft_labels, tau_s=tau_s)(*fixed_inputs())
    assert terms["cusa_csa"].item() == pytest.approx(expected, abs=1e-12)


def test_uni_modal_alignment_and_its_gradient() -> None:
    method = method_with()
    loss = method(*fixed_inputs())["cusa_usa"]
    assert loss.item() == pytest.approx(0.22658524444940326, abs=1e-12)
    loss.backward()
    gradient = method.get_parameter("image_head.output").grad
    assert gradient is not None
    assert gradient[0].tolist() == pytest.approx(
        [
            -0.014545163249596675,
            0.03833904919490689,
            -0.021904777317624538,
            -0.011553980567362194,
            -0.04071238349747888,
        ],
        abs=1e-12,
    )


@pytest.mark.parametrize("con_reduction", ["ce", "mean_all"])
def test_contrastive_loss(con_reduction: str) -> None:
    """The authors' mode "sum"; their mode "mean" is the same divided by B."""
    terms = method_with(con_reduction=con_reduction)(*fixed_inputs())
    assert terms["infonce"].item() == pytest.approx(0.8741950086816594, abs=1e-12)


def test_the_whole_loss_of_the_shipped_configurations_and_its_gradient() -> None:
    """In the authors' mode "mean" with the weight 0.1 of CSA; Pairscope multiplies this by B."""
    method = method_with(con_reduction="mean_all", alpha=0.1, beta=0.0)
    out, batch = fixed_inputs()
    terms = method(out, batch)
    loss = terms["infonce"] + method.weights["cusa_csa"] * terms["cusa_csa"]
    assert loss.item() / PAIRS == pytest.approx(0.23242475906234214, abs=1e-12)
    loss.backward()
    assert out.image.grad is not None
    assert (out.image.grad[0] / PAIRS).tolist() == pytest.approx(
        [
            -0.008912992552214121,
            -0.0005932781465509357,
            0.005829086091982248,
            0.005883191641657499,
            -0.0009645684060464974,
        ],
        abs=1e-12,
    )
