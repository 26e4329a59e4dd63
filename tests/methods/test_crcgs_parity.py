"""CRCGS: every term has the value that the authors' code gives on fixed inputs.

The numbers were computed with the functions of github.com/Hambaobao/CRCGS at commit 05f389f, in float64:
`calc_loss` and `support_set_loss` of utils/model_loss.py, `calc_loss` of src/train_model.py, and `train_loss`
and `adversarial_loss` of src/my_model.py. Their eps of 1e-7 and ours make differences of about 1e-7.
"""

import pytest
import torch
from torch import Tensor, nn

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.methods import CRCGS, Setup
from itr_core.methods.crcgs import noise_contrast

B, D, C = 6, 5, 4
LABELS = [[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1], [1, 0, 0, 0]]
BATCHES = 125  # N of the authors: batches of an epoch


def wave(rows: int, columns: int, frequency: float) -> Tensor:
    """Sines of frequency, 2 frequency, ... as a matrix: inputs that any library can repeat."""
    return torch.sin(torch.arange(1, rows * columns + 1).double() * frequency).reshape(rows, columns)


G_V, G_T, U_V, U_T = (wave(B, D, frequency).clamp(min=0) + 0.1 for frequency in (1.1, 1.3, 1.7, 1.9))
V, T = wave(B, D, 2.3), wave(B, D, 2.9)
OF_V, OF_T = wave(B, C, 3.1), wave(B, C, 3.7)
STUDENT, TEACHER = wave(B, 2, 4.1), wave(B, 2, 4.3)


class Given(nn.Module):
    """Maps one tensor to another, whatever it contains."""

    def __init__(self, *outputs: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        return next(output for given, output in self.outputs if torch.equal(given, x))


class LogOdds(nn.Module):
    """The difference of two logits, as our critics return it."""

    def forward(self, logits: Tensor) -> Tensor:
        return logits[:, 1:] - logits[:, :1]


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        (G_V, U_V, 43.6119352151),
        (G_T, U_T, 43.1313854602),
        (G_V, U_T, 44.2217244882),
        (G_T, U_V, 43.8471352050),
    ],
)
def test_noise_contrast(teacher: Tensor, student: Tensor, expected: float) -> None:
    log_c = torch.tensor((B - 1) / BATCHES).double().log()
    loss = noise_contrast(teacher, student, torch.arange(B), 0.1, log_c)
    assert loss.item() == pytest.approx(expected, abs=2e-5)


def test_all_terms() -> None:
    method = CRCGS(
        code_dim=D, generator_width=8, nce_temperature=0.1, support_temperature=0.06, noise_count=BATCHES
    )
    method.build(Setup(D, captions=[["a"]] * B, labels=["l"] * C))
    v, t, g_v, g_t, u_v, u_t, of_v, of_t = (x.float() for x in (V, T, G_V, G_T, U_V, U_T, OF_V, OF_T))
    method.image_codes, method.text_codes = g_v, g_t
    method.image_head, method.text_head = nn.Sequential(Given((v, u_v))), nn.Sequential(Given((t, u_t)))
    method.label_head = nn.Sequential(Given((v, of_v), (t, of_t)))
    batch = PairBatch(
        torch.zeros(B, 1, dtype=torch.int64), torch.arange(B), [""] * B, labels=torch.tensor(LABELS).float()
    )
    terms = {
        name: term.item() for name, term in method(EncoderOutput(v, t, torch.tensor(9.0)), batch).items()
    }
    del terms["infonce"]
    assert terms == pytest.approx(
        {
            "crcgs_label": 1.4341631372,
            "crcgs_pair": 1.9954774864,
            "crcgs_invariance": 1.4656653601,
            "crcgs_match": 0.6119752492,
            "crcgs_support": 0.2015796906,
            "crcgs_nce_intra": (43.6119352151 + 43.1313854602) / 4,
            "crcgs_nce_inter": (44.2217244882 + 43.8471352050) / 4,
        },
        abs=2e-5,
    )


def test_adversarial_terms() -> None:
    method = CRCGS(code_dim=D, generator_width=8, use_adv=True)
    method.build(Setup(D, captions=[["a"]] * B, labels=["l"] * C))
    method.image_critic = method.text_critic = nn.Sequential(LogOdds())
    method.text_to_image.decode = method.image_to_text.decode = nn.Sequential()
    terms = method._adversarial(STUDENT, STUDENT, TEACHER, TEACHER)  # both sides alike: twice the value
    assert terms["crcgs_adversary"].item() == pytest.approx(2 * 0.8944775067, abs=1e-6)
    assert terms["crcgs_critic"].item() == pytest.approx(2 * 0.8488697619, abs=1e-6)
