"""What labels say of a batch: which items share one, and a loss that draws these together."""

import torch
import torch.nn.functional as F
from torch import Tensor


def shared_label_loss(image: Tensor, text: Tensor, labels: Tensor) -> Tensor:
    r"""Items that share a label must be more alike than items that share none, within and across modalities.

    With theta_ab = cos(a, b) / 2 and Y_ab = 1 where a and b share a label, else 0:

        L = sum over (v, v), (v, t), (t, t) of  mean_ab [ log(1 + exp(theta_ab)) - Y_ab theta_ab ]

    that is, the binary cross-entropy of a logistic model of "shares a label".

    Args:
        image: (B, d), of any length.
        text: (B, d), of any length; row i belongs to image i.
        labels: (B, C), 1 where row i has the label, else 0.

    Returns:
        Shape (), in nats, > 0.

    References:
        Zhen et al., Deep Supervised Cross-Modal Retrieval, CVPR 2019; in the form of CRCGS's code.

    >>> apart = torch.eye(4)
    >>> round(shared_label_loss(apart[:2], apart[2:], torch.zeros(2, 1)).item(), 4)  # nobody shares anything
    2.3604
    """
    v, t = F.normalize(image, dim=-1), F.normalize(text, dim=-1)
    share = (labels @ labels.T > 0).to(v.dtype)
    theta = torch.stack([v @ v.T, v @ t.T, t @ t.T]) / 2
    return 3 * F.binary_cross_entropy_with_logits(theta, share.expand_as(theta))
