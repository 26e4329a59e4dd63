"""Pseudo-labels while training: clusters of embeddings, balanced by Sinkhorn's algorithm, that move along."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHARPNESS = 20.0  # 1 / 0.05, as in SwAV
STAY = 0.99
UNUSED_STEPS = 1000


def sinkhorn(scores: Tensor, iterations: int = 3) -> Tensor:
    r"""Share n points out among M clusters, each point whole, all clusters about equally large.

    Z = exp(scores), then in turn: columns to sum 1/M, rows to sum 1/n (Sinkhorn and Knopp); at last rows to
    sum 1. Equal shares keep one cluster from taking everything (Caron et al., SwAV, arXiv:2006.09882, 3.1).

    Args:
        scores: (n, M), similarities times a sharpness.

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
    """M prototypes on the unit sphere that follow the points assigned to them. It has no gradients.

    Reconstructed: CODER's abstract speaks of "pseudo online-clustering labels" and no more. Prototypes are
    averages over time; one that no point has come nearest to for `UNUSED_STEPS` batches begins anew at a
    random point.
    """

    prototypes: Tensor
    unused: Tensor

    def __init__(self, clusters: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("prototypes", F.normalize(torch.randn(clusters, dim), dim=-1))
        self.register_buffer("unused", torch.zeros(clusters, dtype=torch.int64))  # batches

    @torch.no_grad()
    def assign(self, points: Tensor) -> Tensor:
        """Return soft labels (n, M) of points (n, d), shared out among all of them at once."""
        return sinkhorn(SHARPNESS * points @ self.prototypes.T)

    @torch.no_grad()
    def update(self, points: Tensor, labels: Tensor, pool: Tensor) -> None:
        """Move each prototype towards the points (B, d) whose label (B, M) is highest for it.

        P_m <- unit( 0.99 P_m + 0.01 mean of these points ); the unused begin anew in `pool` (n, d).
        """
        members = F.one_hot(labels.argmax(1), len(self.prototypes)).to(points.dtype)  # (B, M)
        count = members.sum(0)[:, None]
        mean = members.T @ points / count.clamp_min(1)
        moved = torch.where(count > 0, STAY * self.prototypes + (1 - STAY) * mean, self.prototypes)
        self.unused.add_(1).masked_fill_(count[:, 0] > 0, 0)
        stale = self.unused >= UNUSED_STEPS
        fresh = pool[torch.randint(len(pool), (len(moved),)).to(pool.device)]
        self.prototypes.copy_(F.normalize(torch.where(stale[:, None], fresh, moved), dim=-1))
        self.unused.masked_fill_(stale, 0)
