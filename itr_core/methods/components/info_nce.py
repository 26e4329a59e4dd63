"""InfoNCE over both directions of a batch: what every method contrasts with, or is built upon."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

LARGE = 4096
"""Rows above which the logits of a batch never exist all at once: 4,096 already take 0.2 GB."""
BLOCK = 1024
"""Rows whose logits exist at once, above that."""


def symmetric_info_nce(image: Tensor, text: Tensor, scale: Tensor | float, image_id: Tensor) -> Tensor:
    r"""Each image must pick its caption out of the batch, each caption its image.

    With unit vectors v_i = image_i / |image_i|, t_j = text_j / |text_j|, s_ij = v_i . t_j, scale 1/tau, and
    the candidates of row i, R_i = {i} and {j : image_id_j != image_id_i}:

        L_i2t = -1/B sum_i log( exp(s_ii / tau) / sum_{j in R_i} exp(s_ij / tau) )      (CPC, eq. 4)
        L_t2i = -1/B sum_i log( exp(s_ii / tau) / sum_{j in R_i} exp(s_ji / tau) )
        L     = (L_i2t + L_t2i) / 2                                                     (CLIP, fig. 3)

    Of more than `LARGE` rows, `block_info_nce` computes the same.

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
    if len(image) > LARGE:
        return block_info_nce(image, text, scale, image_id)
    logits = scale * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    siblings = (image_id[:, None] == image_id[None, :]) & ~own
    logits = logits.masked_fill(siblings, -torch.inf)
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def block_info_nce(
    image: Tensor, text: Tensor, scale: Tensor | float, image_id: Tensor, block: int = BLOCK
) -> Tensor:
    r"""`symmetric_info_nce` in memory linear in the batch: of B^2 logits, none is kept.

    With z_ij = s_ij / tau and siblings left out of R_i as there,

        L = 1/2B sum_i [ log sum_{j in R_i} e^(z_ij) + log sum_{j in R_i} e^(z_ji) ] - 1/B sum_i z_ii

    A block of images at a time meets all captions. That completes the first sum of its images and adds a part
    to the second sum of every caption; the logits are then forgotten, and computed again for the gradient.
    Kept are B d numbers and, of the parts, B^2 / `block`.

    Args:
        image, text, scale, image_id: as for `symmetric_info_nce`.
        block: images at a time, at least 1.

    Returns:
        Shape (), in nats, >= 0: `symmetric_info_nce` up to rounding.

    References:
        Cheng et al., Breaking the Memory Barrier: Near Infinite Batch Size Scaling for Contrastive Loss,
        arXiv:2410.17243, who do so inside one CUDA kernel.

    >>> unit = torch.eye(3)
    >>> round(block_info_nce(unit, unit, 1.0, torch.tensor([0, 1, 2]), block=2).item(), 4)  # log(1 + 2/e)
    0.5514
    """
    v, t = scale * F.normalize(image, dim=-1), F.normalize(text, dim=-1)
    of_images, parts_of_texts = zip(
        *(
            checkpoint(_log_sums, v, t, image_id, start, block, use_reentrant=False, preserve_rng_state=False)
            for start in range(0, len(v), block)
        ),
        strict=True,
    )
    of_texts = torch.stack(parts_of_texts).logsumexp(0)
    return (torch.cat(of_images) + of_texts).mean() / 2 - (v * t).sum(1).mean()


def _log_sums(v: Tensor, t: Tensor, image_id: Tensor, start: int, block: int) -> tuple[Tensor, Tensor]:
    """Logits of the b images from `start` on: logsumexp over all texts (b,), over these images (B,)."""
    rows = slice(start, start + block)
    siblings = image_id[rows, None] == image_id[None, :]
    siblings.diagonal(start).fill_(False)
    logits = (v[rows] @ t.T).masked_fill(siblings, -torch.inf)
    return logits.logsumexp(1), logits.logsumexp(0)
