"""Dictionaries of past keys: more pairs to contrast with than a batch holds."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from itr_core.batch import EncoderOutput


class PairEmbeddings(NamedTuple):
    """N image-text pairs as unit vectors; pairs of one id show the same image."""

    image: Tensor
    """(N, d)."""
    text: Tensor
    """(N, d)."""
    ids: Tensor
    """(N,) int64."""

    @classmethod
    def of(cls, out: EncoderOutput, ids: Tensor) -> "PairEmbeddings":
        """The embeddings of a batch at unit length."""
        return cls(F.normalize(out.image, dim=-1), F.normalize(out.text, dim=-1), ids)

    def beside(self, others: "PairEmbeddings") -> "PairEmbeddings":
        """These pairs followed by the others."""
        return PairEmbeddings(*(torch.cat(both) for both in zip(self, others, strict=True)))


class MomentumQueue(nn.Module):
    """The last `size` key pairs, first in, first out: MoCo's (arXiv:1911.05722), for both modalities.

    Image, text and id of a pair have the same place, so that a pair leaves as it came, whole. Where a pair
    stands has no meaning: rows are overwritten in turn.
    """

    image: Tensor
    text: Tensor
    ids: Tensor
    taken: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("image", torch.zeros(size, dim))
        self.register_buffer("text", torch.zeros(size, dim))
        self.register_buffer("ids", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("taken", torch.tensor(0))  # pairs, since the beginning

    def entries(self) -> PairEmbeddings:
        """Return all pairs once there are `size` of them, none before that.

        A copy: what is enqueued later does not touch what autograd has kept of it.
        """
        count = len(self.ids) if self.taken >= len(self.ids) else 0
        return PairEmbeddings(*(part[:count].clone() for part in (self.image, self.text, self.ids)))

    @torch.no_grad()
    def enqueue(self, keys: PairEmbeddings) -> None:
        """Let the oldest pairs go for these B; of more than `size`, only the last find a place."""
        size, count = len(self.ids), len(keys.ids)
        order = torch.arange(max(count - size, 0), count, device=self.ids.device)
        places = (self.taken + order) % max(size, 1)
        for part, new in zip((self.image, self.text, self.ids), keys, strict=True):
            part[places] = new[order]
        self.taken += count
