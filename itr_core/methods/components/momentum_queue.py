"""Queues of keys of past batches: more negatives than a batch contains."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from itr_core.batch import EncoderOutput


class PairEmbeddings(NamedTuple):
    """N image-text pairs as unit vectors. Pairs with equal ids show the same image."""

    image: Tensor
    """(N, d)."""
    text: Tensor
    """(N, d)."""
    ids: Tensor
    """(N,) int64."""

    @classmethod
    def of(cls, out: EncoderOutput, ids: Tensor) -> "PairEmbeddings":
        """Normalise the embeddings of a batch."""
        return cls(F.normalize(out.image, dim=-1), F.normalize(out.text, dim=-1), ids)

    def followed_by(self, others: "PairEmbeddings") -> "PairEmbeddings":
        """Concatenate these pairs and the others."""
        return PairEmbeddings(*(torch.cat(both) for both in zip(self, others, strict=True)))


class MomentumQueue(nn.Module):
    """The last `size` pairs of keys, first in, first out: the queue of MoCo for two modalities.

    Image, text and id of a pair are stored in the same row (He et al., MoCo, arXiv:1911.05722).
    The order of the rows has no meaning: they are overwritten in turn.
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
        self.register_buffer("taken", torch.tensor(0))  # number of pairs ever enqueued

    def entries(self) -> PairEmbeddings:
        """Return a copy of all pairs if the queue is full, else an empty set.

        It is a copy because autograd still uses it after the next pairs are enqueued.
        """
        count = len(self.ids) if self.taken >= len(self.ids) else 0
        return PairEmbeddings(*(part[:count].clone() for part in (self.image, self.text, self.ids)))

    @torch.no_grad()
    def enqueue(self, keys: PairEmbeddings) -> None:
        """Replace the oldest pairs by these B pairs; of more than `size` pairs, only the last are kept."""
        size, count = len(self.ids), len(keys.ids)
        order = torch.arange(max(count - size, 0), count, device=self.ids.device)
        places = (self.taken + order) % max(size, 1)
        for part, new in zip((self.image, self.text, self.ids), keys, strict=True):
            part[places] = new[order]
        self.taken += count
