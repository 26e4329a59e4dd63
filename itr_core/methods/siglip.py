"""SigLIP: one binary classification for every image and caption of the batch."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.errors import ModelError
from itr_core.methods.base import Method

LARGE = 4096
"""Number of rows above which the logits are computed in blocks: at 4,096 they take 0.1 GB."""
BLOCK = 1024
"""Number of rows per block of logits."""


class SigLIP(Method):
    r"""`sigmoid_loss` at the learned temperature and bias of the encoder.

        L = -1/B sum_i sum_j log sigma( z_ij (t v_i . t_j + b) )

    A model without a bias gets one when training starts. Its temperature and bias then start as in the paper,
    t = exp(t') with t' = log 10 and b = -10, so that the many negatives do not dominate the first steps. A
    model with a bias keeps both. The bias is saved with the model, in open_clip's layout.

    References:
        Zhai et al., Sigmoid Loss for Language Image Pre-Training, ICCV 2023, arXiv:2303.15343.

    Relations:
        Equals open_clip's `SigLipLoss` when no image is repeated in the batch.

    Deviations from the paper:
        Two captions of one image are never negatives of each other (see `sigmoid_loss`); the paper has one
        caption per image.
    """

    needs = frozenset({"logit_bias"})
    weights = {"siglip": 1.0}  # noqa: RUF012 - never changed in place
    replaces_infonce = True

    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return {"siglip": L}."""
        return self._terms(out, batch)

    def share(self, out: EncoderOutput, batch: PairBatch, rows: slice) -> dict[str, Tensor]:
        """Return what some rows add to L."""
        return self._terms(out, batch, rows)

    def _terms(self, out: EncoderOutput, batch: PairBatch, rows: slice | None = None) -> dict[str, Tensor]:
        scale, bias = out.logit_scale, out.logit_bias
        if bias is None:
            raise ModelError("siglip needs a model with a bias of the logits (logit_bias).")
        return {"siglip": sigmoid_loss(out.image, out.text, scale, bias, batch.image_id, rows)}


def sigmoid_loss(
    image: Tensor,
    text: Tensor,
    scale: Tensor | float,
    bias: Tensor | float,
    image_id: Tensor,
    rows: slice | None = None,
) -> Tensor:
    r"""Classify every image and caption of the batch as a pair or not.

    With unit vectors v_i = image_i / |image_i|, t_j = text_j / |text_j|, and z_ij = 1 if i = j, else -1:

        L = -1/B sum_i sum_{j in R_i} log sigma( z_ij (scale v_i . t_j + bias) )        (SigLIP, eq. 1)

    R_i = {i} and {j : image_id_j != image_id_i}: another caption j of the same image is no negative of row i.
    It is no second positive there either, because it is the positive of its own row, which shows that image.

    For more than `LARGE` rows, the sum is computed in blocks, in memory linear in the batch.

    Args:
        image: (B, d), not normalised.
        text: (B, d), not normalised; row i is a caption of image i.
        scale: (), inverse temperature, dimensionless, > 0.
        bias: (), dimensionless.
        image_id: (B,) integers; rows with equal ids show the same image.
        rows: start and stop of b rows: return only what these i add to the sum of L. It takes b B logits.

    Returns:
        Shape (), in nats, > 0.

    >>> unit = torch.eye(2)
    >>> round(sigmoid_loss(unit, unit, 1.0, 0.0, torch.tensor([0, 1])).item(), 4)  # log(1 + 1/e) + log 2
    1.0064
    >>> round(sigmoid_loss(unit, unit, 1.0, 0.0, torch.tensor([7, 7])).item(), 4)  # no negatives
    0.3133
    """
    v, t = scale * F.normalize(image, dim=-1), F.normalize(text, dim=-1)
    rows = rows or slice(0, len(v))
    count = rows.stop - rows.start
    if len(v) <= LARGE:
        return _sum_of_rows(v, t, bias, image_id, rows.start, count) / len(v)
    sums = [
        checkpoint(
            _sum_of_rows, v, t, bias, image_id, start, min(BLOCK, rows.stop - start), use_reentrant=False
        )
        for start in range(rows.start, rows.stop, BLOCK)
    ]
    return torch.stack(sums).sum() / len(v)


def _sum_of_rows(
    v: Tensor, t: Tensor, bias: Tensor | float, image_id: Tensor, start: int, count: int
) -> Tensor:
    """Sum the losses of `count` images from row `start` on with all captions: ()."""
    rows = slice(start, start + count)
    logits = v[rows] @ t.T + bias  # (b, B)
    own = torch.zeros_like(logits, dtype=torch.bool)
    own.diagonal(start).fill_(True)
    siblings = (image_id[rows, None] == image_id[None, :]) & ~own
    losses = F.softplus(torch.where(own, -logits, logits))  # -log sigma(z x) = log(1 + exp(-z x))
    return losses.masked_fill(siblings, 0).sum()
