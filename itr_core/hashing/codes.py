"""Binary codes of images and captions, the second stage of CRCGS: the code layers, their loss and training."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from itr_core.errors import PairscopeError
from itr_core.methods.components.shared_label import shared_label_loss

STEPS, BATCH, LEARNING_RATE, BETAS = 3000, 100, 1e-4, (0.5, 0.999)
"""As the authors train on MIRFLICKR-25K: 30 epochs of 10,000 pairs."""


STRUCTURE = 1 / BATCH
"""Weight of the similarities to be kept, see `train_codes`."""


class BinaryHead(nn.Module):
    """Embeddings of either modality (B, d) -> relaxed codes (B, bits) in (-1, 1); signs are the code."""

    def __init__(self, dim: int, bits: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(0.3),
            *(nn.Linear(dim, 512), nn.Tanh()),
            *(nn.Linear(512, 512), nn.Tanh()),
            *(nn.Linear(512, bits), nn.Tanh()),
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        """Only directions count; they enter with entries of about 1, for which the layers are drawn."""
        return self.layers(F.normalize(embeddings, dim=-1) * embeddings.shape[-1] ** 0.5)

    @torch.inference_mode()
    def codes(self, embeddings: np.ndarray) -> np.ndarray:
        """(n, d) -> packed codes (n, bits / 8) uint8, a bit for each sign."""
        relaxed = [self(part) for part in torch.from_numpy(embeddings).split(4096)]
        return np.packbits(torch.cat(relaxed).numpy() > 0, axis=1)


def code_loss(
    head: BinaryHead,
    image: Tensor,
    text: Tensor,
    labels: Tensor,
    *,
    structure: float = 1.0,
    sharing: float = 1.0,
    rounding: float = 0.0,
) -> Tensor:
    r"""Codes keep the similarities of what they stand for, agree where labels are shared, and lie near +-1.

    With the relaxed codes h = head(x) of images and texts, centres c_i = (v_i + t_i) / 2 and h^c = head(c):

        L = structure mean_i sum_j (cos(c_i, c_j) / 2 - cos(h^c_i, h^c_j) / 2)^2
            + sharing `shared_label_loss`(h^v, h^t) + rounding mean_i |h^c_i - sign(h^c_i)|^2

    `image` and `text` are (B, d) unit vectors, row by row a pair; `labels` is (B, C), 0 or 1. Returns shape
    (), >= 0. The weights are those of CRCGS's code (Zhang et al., SIGIR 2022), which gives `rounding` none.
    """
    centre = (image + text) / 2
    of_image, of_text, of_centre = head(torch.cat([image, text, centre])).chunk(3)
    c, h = F.normalize(centre, dim=-1), F.normalize(of_centre, dim=-1)
    kept = (c @ c.T / 2 - h @ h.T / 2).square().sum(dim=1).mean()
    shared = shared_label_loss(of_image, of_text, labels)
    rounded = (of_centre - of_centre.detach().sign()).square().sum(dim=1).mean()
    return structure * kept + sharing * shared + rounding * rounded


def train_codes(
    image: np.ndarray,
    text: np.ndarray,
    labels: np.ndarray,
    bits: int,
    *,
    seed: int,
    structure: float = STRUCTURE,
    steps: int = STEPS,
) -> BinaryHead:
    """Train a `BinaryHead` on embedded pairs by `code_loss`; takes half a minute on one core.

    Args:
        image: (n, d) float32, unit norm; an image with several captions comes once for each.
        text: (n, d) float32, unit norm; row i belongs to image i.
        labels: (n, C) bool.
        bits: length of the code, a multiple of 8.
        seed: of weights, batches and dropout.
        structure: weight of the similarities to be kept against the labels.
        steps: batches of at most 100 pairs.

    Deviations from the paper:
        The similarities to be kept weigh a hundredth, which makes the sum over a batch a mean. The authors
        weigh them 1, on embeddings that their labels have already shaped; on those of contrastive training
        the labels then count for nothing: codes find what shares a label no better than untrained ones do.
        The last weights are taken, where the authors keep those that did best on validation data.
    """
    if bits <= 0 or bits % 8:
        raise PairscopeError(f"bits={bits}: a code has 8, 16, 32, 64, ... bits, a multiple of 8.")
    values = [torch.from_numpy(rows.astype(np.float32)) for rows in (image, text, labels)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = BinaryHead(image.shape[1], bits)
        optimiser = torch.optim.Adam(head.parameters(), lr=LEARNING_RATE, betas=BETAS)
        for _ in range(steps):
            rows = torch.randint(len(image), (min(BATCH, len(image)),))
            optimiser.zero_grad()
            code_loss(head, *(each[rows] for each in values), structure=structure).backward()
            optimiser.step()
    return head.eval()
