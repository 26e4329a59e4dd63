"""Diversity-sensitive contrast (DCL): InfoNCE in which a negative weighs what it is worth to its anchor."""

import torch
import torch.nn.functional as F
from torch import Tensor

from itr_core.methods.components.momentum_queue import PairEmbeddings

SCHEMES = ("none", "exp", "zscore", "adaptive_beta", "hal")

HAL_SHARPNESS, HAL_MARGIN = 30.0, 0.3  # mu and eps of Liu et al. 2020


def dcl_loss(
    positive: Tensor,
    negatives: Tensor,
    rivals: Tensor,
    tau: Tensor | float,
    scheme: str = "zscore",
    beta: float = 1.0,
    false_negative_prob: Tensor | None = None,
) -> Tensor:
    r"""Each anchor must find its key among weighted negatives.

    With s_i = positive_i, s_in = negatives_in and N_i the negatives that are rivals of anchor i:

        l_i = -log( exp(s_i / tau) / (exp(s_i / tau) + sum_{n in N_i} w_in exp(s_in / tau)) )

    Except for "hal", w comes from `negative_weights`: it has mean 1 over N_i and carries no gradient. "hal"
    is another loss, whose gradient weighs negatives by e^{mu (s_in - eps)} / (1 + sum_m e^{mu (s_im - eps)});
    neither tau nor beta nor doubt takes part in it:

        l_i = 1/mu log(1 + sum_{n in N_i} e^{mu (s_in - eps)}) - log(1 + max(s_i, 0)),   mu = 30, eps = 0.3

    Args:
        positive: (B,), cosines of anchors and their own keys.
        negatives: (B, N), cosines of anchors and other keys, in any order.
        rivals: (B, N) bool, false where a key is no negative of the anchor: it shows the same image.
        tau: (), temperature, dimensionless, above 0.
        scheme: one of `SCHEMES`.
        beta: how sharply weights follow similarities, >= 0, dimensionless; 0 is "none".
        doubt: (B, N) in [0, 1], how likely a negative is a positive in truth; weights are multiplied by
            1 - doubt.

    Returns:
        (B,), in nats, >= 0 ("hal": of no unit, above -log 2); 0 for an anchor without rivals ("hal":
        -log(1 + max(s_i, 0))).

    References:
        Wang et al., CODER: Coupled Diversity-Sensitive Momentum Contrastive Learning for Image-Text
        Retrieval, arXiv:2208.09843.
        Liu et al., HAL: Improved Text-Image Matching by Mitigating Visual Semantic Hubs, arXiv:1911.10097.

    Relations:
        "none", and any scheme but "hal" with beta = 0, is InfoNCE; with a dictionary as negatives, MoCo.

    Deviations from the paper:
        Reconstructed: the abstract of CODER says what the weights are for, not how they are computed. "hal"
        is HAL's local term, as USER (Zhang et al. 2023) uses it with queues; the global weights, hubness by
        the whole memory bank, would cost a product of the bank with itself at every step.

    >>> s = torch.tensor([[0.3, 0.5, -0.1], [0.0, 0.4, 0.2]])
    >>> loss = dcl_loss(torch.tensor([0.8, 0.6]), s, torch.ones(2, 3, dtype=torch.bool), 0.1, "exp", 5.0)
    >>> round(loss.mean().item(), 5)
    0.17753
    """
    if scheme == "hal":
        exponents = (HAL_SHARPNESS * (negatives - HAL_MARGIN)).masked_fill(~rivals, -torch.inf)
        exponents = F.pad(exponents, (1, 0))  # the 1 beside the sum
        return exponents.logsumexp(1) / HAL_SHARPNESS - positive.relu().log1p()
    weights = negative_weights(negatives.detach(), rivals, scheme, beta)
    if false_negative_prob is not None:
        weights = weights * (1 - false_negative_prob)
    logits = torch.cat([positive[:, None] / tau, negatives / tau + weights.log()], 1)
    own_key = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    return F.cross_entropy(logits, own_key, reduction="none")


def negative_weights(negatives: Tensor, rivals: Tensor, scheme: str, beta: float) -> Tensor:
    r"""Weigh negatives by where they stand among the anchor's own: (B, N), (B, N) bool -> (B, N) >= 0.

    With mean_i, std_i over the rivals N_i of anchor i:

        none            w_in = 1
        exp             w_in = |N_i| softmax_n( beta s_in )
        zscore          w_in = |N_i| softmax_n( beta (s_in - mean_i) / std_i )
        adaptive_beta   w_in = |N_i| softmax_n( beta std_i / mean_batch(std) s_in )

    "exp" weighs by hardness alone. "zscore" asks how hard a negative is for this anchor: no threshold holds
    for all. "adaptive_beta" looks the closer, the more an anchor's negatives differ. What is no rival
    weighs 0, the others 1 on average.
    """
    count = rivals.sum(1, keepdim=True)
    mean = (negatives * rivals).sum(1, keepdim=True) / count.clamp_min(1)
    deviation = ((negatives - mean) * rivals).square().sum(1, keepdim=True)
    std = (deviation / count.clamp_min(1)).sqrt() + 1e-6
    if scheme == "none":
        return rivals.to(negatives.dtype)
    hardness = {
        "exp": negatives,
        "zscore": (negatives - mean) / std,
        "adaptive_beta": negatives * std / std.mean(),
    }[scheme]
    scores = (beta * hardness).masked_fill(~rivals, -torch.inf)
    return (count * scores.softmax(1)).masked_fill(~rivals, 0)


def symmetric_dcl(
    anchors: PairEmbeddings,
    keys: PairEmbeddings,
    others: PairEmbeddings,
    tau: Tensor | float,
    scheme: str = "zscore",
    beta: float = 1.0,
    false_negative_prob: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Images find their texts among the texts of `others`, texts their images among its images.

    anchors, keys: B pairs, row by row the same; others: N pairs, of which those with the anchor's id are no
    negatives. doubt: (B, N) between an anchor's text and the texts of `others`, and the same of the images.
    Returns (), the mean of both directions of `dcl_loss`.
    """
    rivals = anchors.ids[:, None] != others.ids
    positives = (anchors.image * keys.text).sum(1), (anchors.text * keys.image).sum(1)
    negatives = anchors.image @ others.text.T, anchors.text @ others.image.T
    losses = [
        dcl_loss(positive, negative, rivals, tau, scheme, beta, doubtful).mean()
        for positive, negative, doubtful in zip(
            positives, negatives, false_negative_prob or (None, None), strict=True
        )
    ]
    return torch.stack(losses).mean()
