"""Binary codes of images and captions, the second stage of CRCGS: layers, loss and training."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from itr_core.errors import PairscopeError
from itr_core.methods.components.shared_label import shared_label_loss

STEPS, BATCH, LEARNING_RATE, BETAS = 3000, 100, 1e-4, (0.5, 0.999)
"""As in the training of the authors on MIRFLICKR-25K: 30 epochs of 10,000 pairs."""
STRUCTURE = 1 / BATCH
"""Default weight of the structure term, see `train_codes`."""


class BinaryHead(nn.Module):
    """Maps embeddings (B, d) of either modality to relaxed codes (B, bits) in (-1, 1); signs are the code."""

    def __init__(self, dim: int, bits: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(0.3),
            *(nn.Linear(dim, 512), nn.Tanh()),
            *(nn.Linear(512, 512), nn.Tanh()),
            *(nn.Linear(512, bits), nn.Tanh()),
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        """Normalise embeddings (B, d), scale their entries to about 1, and return relaxed codes (B, bits)."""
        return self.layers(F.normalize(embeddings, dim=-1) * embeddings.shape[-1] ** 0.5)

    @torch.inference_mode()
    def codes(self, embeddings: np.ndarray) -> np.ndarray:
        """Map embeddings (n, d) to packed codes (n, bits / 8) uint8, one bit per sign."""
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
    r"""Loss of the codes: keep similarities, agree where labels are shared, and be close to +-1.

    With the relaxed codes h = head(x) of images and texts, centres c_i = (v_i + t_i) / 2 and h^c = head(c):

        L = structure mean_i sum_j (cos(c_i, c_j) / 2 - cos(h^c_i, h^c_j) / 2)^2
            + sharing `shared_label_loss`(h^v, h^t) + rounding mean_i |h^c_i - sign(h^c_i)|^2

    The default weights are those of the code of CRCGS (Zhang et al., SIGIR 2022), in which `rounding` is 0.

    Args:
        head: the code layers.
        image: (B, d) unit vectors.
        text: (B, d) unit vectors; row i belongs to image i.
        labels: (B, C), 0 or 1.
        structure: weight of the first term, >= 0.
        sharing: weight of the second term, >= 0.
        rounding: weight of the third term, >= 0.

    Returns:
        Shape (), >= 0.
    """
    centre = (image + text) / 2
    of_image, of_text, of_centre = head(torch.cat([image, text, centre])).chunk(3)
    c, h = F.normalize(centre, dim=-1), F.normalize(of_centre, dim=-1)
    kept = (c @ c.T / 2 - h @ h.T / 2).square().sum(dim=1).mean()
    shared = shared_label_loss(of_image, of_text, labels)
    rounded = (of_centre - of_centre.detach().sign()).square().sum(dim=1).mean()
    return structure * kept + sharing * shared + rounding * rounded


def check_code_options(lengths: Sequence[int], structure: float) -> None:
    """Raise PairscopeError if no length is given, one is no positive multiple of 8, or `structure` is < 0."""
    if not lengths:
        raise PairscopeError("bits=[]: name at least one length, such as 32.")
    for bits in lengths:
        if bits <= 0 or bits % 8:
            raise PairscopeError(f"bits={bits}: must be a positive multiple of 8, such as 32.")
    if not 0 <= structure < np.inf:
        raise PairscopeError(f"structure={structure}: must be a number of at least 0.")


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
    """Train a `BinaryHead` on embedded pairs with `code_loss`; it takes half a minute on one core.

    Args:
        image: (n, d) float32, unit norm; an image is repeated for each of its captions.
        text: (n, d) float32, unit norm; row i belongs to image i.
        labels: (n, C) bool.
        bits: length of the code, a multiple of 8.
        seed: random seed of weights, batches and dropout.
        structure: weight of the structure term relative to that of the labels, >= 0.
        steps: number of batches, each of at most 100 pairs.

    Raises:
        PairscopeError: see `check_code_options`.

    Deviations from the paper:
        The weight of the structure term is 0.01, so that the sum over a batch becomes a mean. The authors
        use 1, on embeddings that were trained with labels. On embeddings of contrastive training the labels
        then have no effect: label mAP of the codes is not above that of untrained codes. We use the last
        weights; the authors keep those with the best validation result.
    """
    check_code_options([bits], structure)
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
