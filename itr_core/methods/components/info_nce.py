"""InfoNCE in both directions of a batch; most methods build on it or are compared with it."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

LARGE = 4096
"""Number of rows above which the logits are computed in blocks: at 4,096 they take 0.2 GB."""
BLOCK = 1024
"""Number of rows per block of logits."""


def symmetric_info_nce(
    image: Tensor,
    text: Tensor,
    scale: Tensor | float,
    image_id: Tensor,
    rows: slice | None = None,
) -> Tensor:
    r"""Contrast each image with the captions of the batch, and each caption with the images.

    With unit vectors v_i = image_i / |image_i|, t_j = text_j / |text_j|, s_ij = v_i . t_j, scale 1/tau, and
    the candidates of row i, R_i = {i} and {j : image_id_j != image_id_i}:

        L_i2t = -1/B sum_i log( exp(s_ii / tau) / sum_{j in R_i} exp(s_ij / tau) )      (CPC, eq. 4)
        L_t2i = -1/B sum_i log( exp(s_ii / tau) / sum_{j in R_i} exp(s_ji / tau) )
        L     = (L_i2t + L_t2i) / 2                                                     (CLIP, fig. 3)

    For more than `LARGE` rows, `block_info_nce` computes the same value.

    Args:
        image: (B, d), not normalised.
        text: (B, d), not normalised; row i is a caption of image i.
        scale: (), inverse temperature 1/tau, dimensionless, in (0, 100].
        image_id: (B,) integers; rows with equal ids show the same image.
        rows: start and stop of b rows: return only what these i add to the sums of L. It takes 2 b B logits
            in place of B^2, and at most `BLOCK` B of them at a time.

    Returns:
        Shape (), in nats, >= 0; log(B) at chance.

    References:
        van den Oord et al., Representation Learning with Contrastive Predictive Coding, arXiv:1807.03748.
        Radford et al., Learning Transferable Visual Models From Natural Language Supervision,
        arXiv:2103.00020.

    Relations:
        Equals open_clip's `ClipLoss` when all ids differ.

    Deviations from the paper:
        Two captions of one image are never negatives of each other: they are removed from the sum. (They are
        not added as positives either, since that would spread the probability mass over captions that
        describe different things in the image.)

    >>> unit = torch.eye(2)
    >>> round(symmetric_info_nce(unit, unit, 1.0, torch.tensor([0, 1])).item(), 4)  # log(1 + 1/e)
    0.3133
    >>> symmetric_info_nce(unit, unit, 1.0, torch.tensor([7, 7])).item()  # no negatives
    0.0
    >>> round(symmetric_info_nce(unit, unit, 1.0, torch.tensor([0, 1]), slice(0, 1)).item(), 4)  # half of it
    0.1566
    """
    if rows is not None:
        return _share_of_rows(image, text, scale, image_id, rows)
    if len(image) > LARGE:
        return block_info_nce(image, text, scale, image_id)
    logits = scale * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill((image_id[:, None] == image_id[None, :]) & ~own, -torch.inf)
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def exact_info_nce(
    image: Tensor, text: Tensor, scale: Tensor | float, truth: Tensor, image_of_caption: Tensor
) -> Tensor:
    r"""Contrast images and texts whose truth is known: only what is false is a negative.

    With unit vectors v_i and t_j, z_ij = v_i . t_j / tau, T_i the texts that are true of image i, P_j the
    images of which text j is true, M the number of texts with |P_j| > 0, and i(j) the image of caption j:

        L_i2t = 1/B sum_{j < B} log(1 + sum_{k not in T_i(j)} exp(z_i(j)k - z_i(j)j))
        L_t2i = 1/M sum_{j : |P_j| > 0} 1/|P_j| sum_{i in P_j} log(1 + sum_{k not in P_j} exp(z_kj - z_ij))
        L     = (L_i2t + L_t2i) / 2

    Args:
        image: (I, d), not normalised, one row per image.
        text: (N, d), not normalised; the first B texts are captions, further ones may be true of any image.
        scale: (), inverse temperature 1/tau, dimensionless, in (0, 100].
        truth: (I, N) bool, whether the text is true of the image.
        image_of_caption: (B,) int64, the image of each caption, of which it is true.

    Returns:
        Shape (), in nats, >= 0.

    References:
        Khosla et al., Supervised Contrastive Learning, arXiv:2004.11362, eq. 2, for the mean over positives.

    Relations:
        Equals `symmetric_info_nce` if each text is true of its own image only and N = I = B.

    Deviations from the paper:
        The other positives are left out of the sum in the denominator. They would be pushed away.

    >>> unit = torch.eye(2)
    >>> round(exact_info_nce(unit, unit, 1.0, torch.eye(2).bool(), torch.tensor([0, 1])).item(), 4)
    0.3133
    >>> exact_info_nce(unit, unit, 1.0, torch.ones(2, 2).bool(), torch.tensor([0, 1])).item()  # no negatives
    0.0
    """
    logits = scale * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
    false = logits.masked_fill(truth, -torch.inf)
    own = logits[image_of_caption, torch.arange(len(image_of_caption), device=logits.device)]
    i2t = F.softplus(false.logsumexp(1)[image_of_caption] - own).mean()
    of_pairs = F.softplus(false.logsumexp(0) - logits) * truth
    some = truth.any(0)
    t2i = (of_pairs.sum(0)[some] / truth.sum(0)[some]).mean()
    return (i2t + t2i) / 2


def block_info_nce(
    image: Tensor, text: Tensor, scale: Tensor | float, image_id: Tensor, block: int = BLOCK
) -> Tensor:
    r"""Compute `symmetric_info_nce` in memory linear in the batch: none of the B^2 logits is kept.

    With z_ij = s_ij / tau and R_i as in `symmetric_info_nce`,

        L = 1/2B sum_i [ log sum_{j in R_i} e^(z_ij) + log sum_{j in R_i} e^(z_ji) ] - 1/B sum_i z_ii

    The logits of one block of images with all captions are computed at a time. They complete the first sum
    of these images and add a part to the second sum of every caption. They are then discarded, and computed
    again for the gradient. What is kept are B d numbers and B^2 / `block` partial sums.

    Args:
        image: as for `symmetric_info_nce`, as are text, scale and image_id.
        text: (B, d).
        scale: ().
        image_id: (B,).
        block: number of images per block, at least 1.

    Returns:
        Shape (), in nats, >= 0: `symmetric_info_nce` up to rounding.

    References:
        Cheng et al., Breaking the Memory Barrier: Near Infinite Batch Size Scaling for Contrastive Loss,
        arXiv:2410.17243, which does this inside one CUDA kernel.

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


def _share_of_rows(
    image: Tensor, text: Tensor, scale: Tensor | float, image_id: Tensor, rows: slice
) -> Tensor:
    v, t = scale * F.normalize(image, dim=-1), F.normalize(text, dim=-1)
    sums = [
        checkpoint(
            _sums_of_rows, v, t, image_id, slice(start, min(start + BLOCK, rows.stop)),
            use_reentrant=False, preserve_rng_state=False,
        )
        for start in range(rows.start, rows.stop, BLOCK)
    ]  # fmt: skip
    return (torch.stack(sums).sum() / 2 - (v[rows] * t[rows]).sum()) / len(v)


def _sums_of_rows(v: Tensor, t: Tensor, image_id: Tensor, rows: slice) -> Tensor:
    """Sum the logsumexp of b images over all texts and that of their texts over all images: ()."""
    siblings = image_id[rows, None] == image_id[None, :]
    siblings.diagonal(rows.start).fill_(False)
    of_images = (v[rows] @ t.T).masked_fill(siblings, -torch.inf).logsumexp(1)
    of_texts = (t[rows] @ v.T).masked_fill(siblings, -torch.inf).logsumexp(1)
    return of_images.sum() + of_texts.sum()


def _log_sums(v: Tensor, t: Tensor, image_id: Tensor, start: int, block: int) -> tuple[Tensor, Tensor]:
    """Logits of b images from row `start`: logsumexp over all texts (b,) and over these images (B,)."""
    rows = slice(start, start + block)
    siblings = image_id[rows, None] == image_id[None, :]
    siblings.diagonal(start).fill_(False)
    logits = (v[rows] @ t.T).masked_fill(siblings, -torch.inf)
    return logits.logsumexp(1), logits.logsumexp(0)
