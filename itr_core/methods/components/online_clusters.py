"""Online clustering of embeddings, balanced by the Sinkhorn algorithm: pseudo-labels during training."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHARPNESS = 20.0  # 1 / 0.05, as in SwAV
DECAY = 0.99
"""Decay of the moving average of a prototype."""
UNUSED_STEPS = 1000
"""Number of batches after which a prototype without points is replaced."""


def sinkhorn(scores: Tensor, iterations: int = 3) -> Tensor:
    r"""Assign n points softly to M clusters of about equal size.

    Z = exp(scores). Its columns are scaled to sum 1/M and its rows to sum 1/n, in turn (Sinkhorn and
    Knopp); finally rows are scaled to sum 1. Equal sizes prevent that one cluster takes all points (Caron
    et al., SwAV, arXiv:2006.09882, section 3.1).

    Args:
        scores: (n, M), similarities divided by a temperature.
        iterations: number of iterations.

    Returns:
        (n, M), >= 0; rows sum to 1, columns to n/M in the limit of many iterations.

    >>> sinkhorn(torch.tensor([[9.0, 0.0], [9.0, 0.0]]))
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    n, clusters = scores.shape
    shares = (scores - scores.max()).exp()
    for _ in range(iterations):
        shares = shares / (shares.sum(0, keepdim=True) * clusters)
        shares = shares / (shares.sum(1, keepdim=True) * n)
    return shares / shares.sum(1, keepdim=True)


class OnlineClusters(nn.Module):
    """M prototypes on the unit sphere, moving averages of the points assigned to them. It has no gradients.

    Reconstructed: the abstract of CODER says only "pseudo online-clustering labels". A prototype that was the
    nearest one of no point for `UNUSED_STEPS` batches is replaced by a random point.
    """

    prototypes: Tensor
    unused: Tensor

    def __init__(self, clusters: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("prototypes", F.normalize(torch.randn(clusters, dim), dim=-1))
        self.register_buffer("unused", torch.zeros(clusters, dtype=torch.int64))  # batches

    @torch.no_grad()
    def assign(self, points: Tensor) -> Tensor:
        """Return soft labels (n, M) of points (n, d), balanced over all n points."""
        return sinkhorn(SHARPNESS * points @ self.prototypes.T)

    @torch.no_grad()
    def update(self, points: Tensor, labels: Tensor, pool: Tensor) -> None:
        """Move each prototype towards the points (B, d) whose highest label (B, M) it is.

        P_m <- unit( 0.99 P_m + 0.01 mean of these points ). Unused prototypes are replaced by points of
        `pool` (n, d).
        """
        members = F.one_hot(labels.argmax(1), len(self.prototypes)).to(points.dtype)  # (B, M)
        count = members.sum(0)[:, None]
        mean = members.T @ points / count.clamp_min(1)
        moved = torch.where(count > 0, DECAY * self.prototypes + (1 - DECAY) * mean, self.prototypes)
        self.unused.add_(1).masked_fill_(count[:, 0] > 0, 0)
        stale = self.unused >= UNUSED_STEPS
        fresh = pool[torch.randint(len(pool), (len(moved),)).to(pool.device)]
        self.prototypes.copy_(F.normalize(torch.where(stale[:, None], fresh, moved), dim=-1))
        self.unused.masked_fill_(stale, 0)
