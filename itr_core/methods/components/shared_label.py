"""A loss that brings together items that share a label."""

import torch
import torch.nn.functional as F
from torch import Tensor


def shared_label_loss(image: Tensor, text: Tensor, labels: Tensor) -> Tensor:
    r"""Make items that share a label more similar than items that share none, within and across modalities.

    With theta_ab = cos(a, b) / 2 and Y_ab = 1 where a and b share a label, else 0:

        L = sum over (v, v), (v, t), (t, t) of  mean_ab [ log(1 + exp(theta_ab)) - Y_ab theta_ab ]

    This is the binary cross-entropy of a logistic model of "shares a label". Rows without labels are skipped:
    they share none with their own pair either, which would push image and text apart.

    Args:
        image: (B, d), not normalised.
        text: (B, d), not normalised; row i belongs to image i.
        labels: (B, C), 1 if the row has the label, else 0.

    Returns:
        Shape (), in nats, > 0; 0 if no row has a label.

    References:
        Zhen et al., Deep Supervised Cross-Modal Retrieval, CVPR 2019; in the form of the code of CRCGS.

    >>> apart = torch.eye(4)
    >>> round(shared_label_loss(apart[:2], apart[2:], torch.eye(2)).item(), 4)  # each its own label
    1.8604
    """
    labelled = labels.any(dim=1)
    if not labelled.any():
        return (image.sum() + text.sum()) * 0
    image, text, labels = image[labelled], text[labelled], labels[labelled]
    v, t = F.normalize(image, dim=-1), F.normalize(text, dim=-1)
    share = (labels @ labels.T > 0).to(v.dtype)
    theta = torch.stack([v @ v.T, v @ t.T, t @ t.T]) / 2
    return 3 * F.binary_cross_entropy_with_logits(theta, share.expand_as(theta))
