"""InfoNCE over both directions of a batch: what every method contrasts with, or is built upon."""

import torch
import torch.nn.functional as F
from torch import Tensor


def symmetric_info_nce(image: Tensor, text: Tensor, scale: Tensor | float, image_id: Tensor) -> Tensor:
    r"""Each image must pick its caption out of the batch, each caption its image.

    With unit vectors v_i = image_i / |image_i|, t_j = text_j / |text_j|, s_ij = v_i . t_j, scale 1/tau, and
    the candidates of row i, R_i = {i} and {j : image_id_j != image_id_i}:

        L_i2t = -1/B sum_i log( exp(s_ii / tau) / sum_{j in R_i} exp(s_ij / tau) )      (CPC, eq. 4)
        L_t2i = -1/B sum_i log( exp(s_ii / tau) / sum_{j in R_i} exp(s_ji / tau) )
        L     = (L_i2t + L_t2i) / 2                                                     (CLIP, fig. 3)

    Args:
        image: (B, d), of any length.
        text: (B, d), of any length; row i is a caption of image i.
        scale: (), inverse temperature 1/tau, dimensionless, in (0, 100].
        image_id: (B,) integers; rows with equal ids show the same image.

    Returns:
        Shape (), in nats, >= 0; log(B) at chance.

    References:
        van den Oord et al., Representation Learning with Contrastive Predictive Coding, arXiv:1807.03748.
        Radford et al., Learning Transferable Visual Models From Natural Language Supervision,
        arXiv:2103.00020.

    Relations:
        Equals open_clip's `ClipLoss` when all ids differ.

    Deviations from the paper:
        Two captions of one image are never each other's negatives: they leave the sum, as if they were not in
        the batch. (Making them further positives would spread the softmax's mass over captions that say
        different things of the image; a caption still answers for its own row only.)

    >>> unit = torch.eye(2)
    >>> round(symmetric_info_nce(unit, unit, 1.0, torch.tensor([0, 1])).item(), 4)  # log(1 + 1/e)
    0.3133
    >>> symmetric_info_nce(unit, unit, 1.0, torch.tensor([7, 7])).item()  # no rivals, nothing to tell apart
    0.0
    """
    logits = scale * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    siblings = (image_id[:, None] == image_id[None, :]) & ~own
    logits = logits.masked_fill(siblings, -torch.inf)
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
