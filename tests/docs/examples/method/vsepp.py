"""VSE++: the hinge loss of the hardest negative, the usual objective before CLIP."""

import torch
import torch.nn.functional as F
from torch import Tensor

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.errors import ModelError
from itr_core.methods.base import Method


def hardest_negative_loss(image: Tensor, text: Tensor, image_id: Tensor, margin: float) -> Tensor:
    r"""Each pair must score higher than its hardest negatives, by a margin.

    With unit vectors v_i, t_j, cosines s_ij = v_i . t_j and N_i = {j : image_id_j != image_id_i}:

        L = 1/B sum_i ( [margin - s_ii + max_{j in N_i} s_ij]_+ + [margin - s_ii + max_{j in N_i} s_ji]_+ )

    Args:
        image: (B, d), of any length.
        text: (B, d), of any length; row i is a caption of image i.
        image_id: (B,) integers; rows with equal ids show the same image and are no negatives.
        margin: in [0, 2], a difference of cosines.

    Returns:
        Shape (), >= 0; 0 where every row has the same id.

    References:
        Faghri et al., VSE++: Improving Visual-Semantic Embeddings with Hard Negatives, BMVC 2018,
        arXiv:1707.05612, eq. 6.

    >>> unit = torch.eye(2)
    >>> round(hardest_negative_loss(unit, unit.flip(0), torch.arange(2), 0.2).item(), 4)  # all pairs swapped
    2.4
    """
    scores = F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T  # (B, B)
    positive = scores.diagonal()  # (B,)
    negatives = scores.masked_fill(image_id[:, None] == image_id[None, :], -torch.inf)  # (B, B)
    hardest = torch.stack([negatives.amax(1), negatives.amax(0)])  # (2, B): I2T, T2I
    return (margin - positive + hardest).relu().sum(0).mean()


class VSEPP(Method):
    """`hardest_negative_loss` in place of InfoNCE.

    Args:
        margin: by how much a pair must win, in [0, 2].

    References:
        Faghri et al., VSE++: Improving Visual-Semantic Embeddings with Hard Negatives, BMVC 2018,
        arXiv:1707.05612.

    Relations:
        InfoNCE at a low temperature also concentrates on the hardest negative, but has no margin.
    """

    replaces_infonce = True
    weights = {"vsepp": 1.0}  # noqa: RUF012 - a constant of the class

    def __init__(self, *, margin: float = 0.2) -> None:
        super().__init__()
        if not 0 <= margin <= 2:
            raise ModelError(f"margin={margin}: a difference of cosines must be from 0 to 2.")
        self.margin = margin

    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return {"vsepp": the loss}."""
        return {"vsepp": hardest_negative_loss(out.image, out.text, batch.image_id, self.margin)}
