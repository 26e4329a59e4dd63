"""Diversity-sensitive contrastive loss (DCL): InfoNCE with adaptive weights of the negatives."""

import torch
import torch.nn.functional as F
from torch import Tensor

from itr_core.methods.components.momentum_queue import PairEmbeddings

SCHEMES = ("none", "exp", "zscore", "adaptive_beta", "hal")

HAL_SHARPNESS, HAL_MARGIN = 30.0, 0.3  # mu and eps of Liu et al. 2020


def dcl_loss(
    positive: Tensor,
    negatives: Tensor,
    negative_mask: Tensor,
    tau: Tensor | float,
    scheme: str = "zscore",
    beta: float = 1.0,
    false_negative_prob: Tensor | None = None,
) -> Tensor:
    r"""Contrast each anchor with its key among weighted negatives.

    With s_i = positive_i, s_in = negatives_in and N_i the negatives of anchor i (`negative_mask`):

        l_i = -log( exp(s_i / tau) / (exp(s_i / tau) + sum_{n in N_i} w_in exp(s_in / tau)) )

    Except for "hal", w is `negative_weights`: it has mean 1 over N_i and no gradient. "hal" is another loss,
    whose gradient weights negatives by e^{mu (s_in - eps)} / (1 + sum_m e^{mu (s_im - eps)}); it does not use
    tau, beta and false_negative_prob:

        l_i = 1/mu log(1 + sum_{n in N_i} e^{mu (s_in - eps)}) - log(1 + max(s_i, 0)),   mu = 30, eps = 0.3

    Args:
        positive: (B,), cosines of anchors and their own keys.
        negatives: (B, N), cosines of anchors and other keys, in any order.
        negative_mask: (B, N) bool, false where the key shows the image of the anchor and so is no negative.
        tau: (), temperature, dimensionless, > 0.
        scheme: one of `SCHEMES`.
        beta: sharpness of the weights, >= 0, dimensionless; 0 equals "none".
        false_negative_prob: (B, N) in [0, 1], probability that a negative is a false negative; weights are
            multiplied by one minus it.

    Returns:
        (B,), in nats, >= 0 ("hal": without unit, > -log 2). For an anchor without negatives it is 0 ("hal":
        -log(1 + max(s_i, 0))).

    References:
        Wang et al., CODER: Coupled Diversity-Sensitive Momentum Contrastive Learning for Image-Text
        Retrieval, arXiv:2208.09843.
        Liu et al., HAL: Improved Text-Image Matching by Mitigating Visual Semantic Hubs, arXiv:1911.10097.

    Relations:
        "none", and every scheme but "hal" at beta = 0, is InfoNCE; with a queue as negatives, MoCo.

    Deviations from the paper:
        Reconstructed: the abstract of CODER states the purpose of the weights, not their formula. "hal" is
        the local term of HAL, as USER (Zhang et al. 2023) uses it with queues. The global weights of HAL
        (hubness in the memory bank) would need a product of the bank with itself at every step.

    >>> s = torch.tensor([[0.3, 0.5, -0.1], [0.0, 0.4, 0.2]])
    >>> loss = dcl_loss(torch.tensor([0.8, 0.6]), s, torch.ones(2, 3, dtype=torch.bool), 0.1, "exp", 5.0)
    >>> round(loss.mean().item(), 5)
    0.17753
    """
    if scheme == "hal":
        exponents = (HAL_SHARPNESS * (negatives - HAL_MARGIN)).masked_fill(~negative_mask, -torch.inf)
        exponents = F.pad(exponents, (1, 0))  # the 1 of 1 + sum
        return exponents.logsumexp(1) / HAL_SHARPNESS - positive.relu().log1p()
    weights = negative_weights(negatives.detach(), negative_mask, scheme, beta)
    if false_negative_prob is not None:
        weights = weights * (1 - false_negative_prob)
    logits = torch.cat([positive[:, None] / tau, negatives / tau + weights.log()], 1)
    own_key = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    return F.cross_entropy(logits, own_key, reduction="none")


def negative_weights(negatives: Tensor, negative_mask: Tensor, scheme: str, beta: float) -> Tensor:
    r"""Weight the negatives of each anchor by their similarities: (B, N), (B, N) bool -> (B, N) >= 0.

    With mean_i, std_i over the negatives N_i of anchor i:

        none            w_in = 1
        exp             w_in = |N_i| softmax_n( beta s_in )
        zscore          w_in = |N_i| softmax_n( beta (s_in - mean_i) / std_i )
        adaptive_beta   w_in = |N_i| softmax_n( beta std_i / mean_batch(std) s_in )

    "exp" weights by similarity alone. "zscore" weights by similarity relative to the other negatives of the
    same anchor. "adaptive_beta" is sharper for anchors whose negatives differ more. Keys outside the mask
    have weight 0; the others have weight 1 on average.
    """
    count = negative_mask.sum(1, keepdim=True)
    mean = (negatives * negative_mask).sum(1, keepdim=True) / count.clamp_min(1)
    deviation = ((negatives - mean) * negative_mask).square().sum(1, keepdim=True)
    std = (deviation / count.clamp_min(1)).sqrt() + 1e-6
    if scheme == "none":
        return negative_mask.to(negatives.dtype)
    hardness = {
        "exp": negatives,
        "zscore": (negatives - mean) / std,
        "adaptive_beta": negatives * std / std.mean(),
    }[scheme]
    scores = (beta * hardness).masked_fill(~negative_mask, -torch.inf)
    return (count * scores.softmax(1)).masked_fill(~negative_mask, 0)


def symmetric_dcl(
    anchors: PairEmbeddings,
    keys: PairEmbeddings,
    others: PairEmbeddings,
    tau: Tensor | float,
    scheme: str = "zscore",
    beta: float = 1.0,
    false_negative_prob: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Compute `dcl_loss` in both directions: images with texts as keys, texts with images as keys.

    Args:
        anchors: B pairs.
        keys: the same B pairs, embedded by the momentum encoder or the encoder itself.
        others: N pairs; those with the id of the anchor are no negatives.
        tau: as for `dcl_loss`.
        scheme: as for `dcl_loss`.
        beta: as for `dcl_loss`.
        false_negative_prob: (B, N) between the texts of anchors and others, and the same between the images.

    Returns:
        Shape (), the mean of both directions.
    """
    negative_mask = anchors.ids[:, None] != others.ids
    positives = (anchors.image * keys.text).sum(1), (anchors.text * keys.image).sum(1)
    negatives = anchors.image @ others.text.T, anchors.text @ others.image.T
    losses = [
        dcl_loss(positive, negative, negative_mask, tau, scheme, beta, prob).mean()
        for positive, negative, prob in zip(
            positives, negatives, false_negative_prob or (None, None), strict=True
        )
    ]
    return torch.stack(losses).mean()
