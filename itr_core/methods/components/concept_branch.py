"""What an image or a caption is about, in terms of concepts: a graph of them, and a query to it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

PROMPT = "a picture of {}"
HIDDEN = 512
SHARPNESS = 10.0  # of the attention; CVSE's "smooth"
SHARE_OF_NAMED = 0.35  # r: how much of a caption's attention goes to what it names; CVSE on Flickr30K


class Descriptors(NamedTuple):
    """B images and captions as mixtures of K concepts."""

    image: Tensor
    """(B, d), unit vectors."""
    text: Tensor
    """(B, d), unit vectors."""
    image_attention: Tensor
    """(B, K), >= 0, rows sum to 1."""
    text_attention: Tensor
    """(B, K), >= 0, rows sum to 1."""


class ConceptBranch(nn.Module):
    """Concepts in the light of their neighbours, and the question which of them an embedding is about.

    Concepts c with adjacency A (`ConceptGraph`) and embeddings x_c of a short prompt go through two graph
    convolutions (Kipf & Welling, arXiv:1609.02907); an embedding v then attends to them:

        X'   = unit( A LeakyReLU_0.2( A X W_1 ) W_2 )
        e_c  = cos( w * tanh(BN(Q v)), tanh(BN(P x'_c)) )      Q and w for images and for texts
        a    = softmax_c(10 e);  of a caption naming the concepts y:  r softmax(10 y) + (1 - r) a,  r = 0.35
        u    = unit( sum_c a_c x'_c )

    References:
        Wang et al., Consensus-Aware Visual-Semantic Embedding for Image-Text Matching (CVSE),
        arXiv:2007.08883, whose concept query this is.

    Deviations from the paper:
        Reconstructed: that CODER queries its graph as its authors' CVSE does. Concepts begin as the encoder's
        own embeddings instead of GloVe's, less their mean, which is what all prompts share. CVSE's e_c is the
        plain product w^T[...]; in a thousand dimensions it grows within tens of steps until every image and
        caption attends to one and the same concept, from where no gradient leads back. A cosine cannot.
    """

    adjacency: Tensor
    nodes: Tensor

    def __init__(self, dim: int, adjacency: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("adjacency", torch.from_numpy(adjacency))
        self.register_buffer("nodes", torch.zeros(len(adjacency), dim))
        self.convolutions = nn.ModuleList(
            [nn.Linear(dim, HIDDEN, bias=False), nn.Linear(HIDDEN, dim, bias=False)]
        )
        self.concept = _Projection(dim)
        self.queries = nn.ModuleDict({"image": _Projection(dim), "text": _Projection(dim)})
        self.scores = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(dim) / dim**0.5) for name in ("image", "text")}
        )

    def set_nodes(self, names: Sequence[str], encode_texts: Callable[[list[str]], np.ndarray]) -> None:
        """Let the concepts begin where the encoder puts their names."""
        nodes = torch.from_numpy(encode_texts([PROMPT.format(name) for name in names]))
        self.nodes.copy_(F.normalize(nodes - nodes.mean(0), dim=-1))

    def related(self) -> Tensor:
        """Return the concepts in the light of their neighbours: (K, d), unit vectors."""
        first, second = self.convolutions
        hidden = F.leaky_relu(self.adjacency @ first(self.nodes), 0.2)
        return F.normalize(self.adjacency @ second(hidden), dim=-1)

    def forward(self, related: Tensor, image: Tensor, text: Tensor, named: Tensor) -> Descriptors:
        """Describe embeddings (B, d) by `related()`; `named` (B, K): 1 where a caption names it."""
        concepts = self.concept(related)
        image_attention = self._attention("image", image, concepts)
        text_attention = SHARE_OF_NAMED * (SHARPNESS * named).softmax(1) + (
            1 - SHARE_OF_NAMED
        ) * self._attention("text", text, concepts)
        return Descriptors(
            F.normalize(image_attention @ related, dim=-1),
            F.normalize(text_attention @ related, dim=-1),
            image_attention,
            text_attention,
        )

    def _attention(self, modality: str, embeddings: Tensor, concepts: Tensor) -> Tensor:
        asked = self.queries[modality](embeddings) * self.scores[modality]
        cosines = F.normalize(asked, dim=1) @ F.normalize(concepts, dim=1).T
        return (SHARPNESS * cosines).softmax(1)


class _Projection(nn.Sequential):
    def __init__(self, dim: int) -> None:
        super().__init__(nn.Linear(dim, dim, bias=False), _BatchNorm(dim), nn.Tanh())


class _BatchNorm(nn.BatchNorm1d):
    """Takes away what all rows share, and so tells them apart; one row alone is seen as at inference."""

    def forward(self, rows: Tensor) -> Tensor:
        if len(rows) > 1:
            return super().forward(rows)
        mean, variance = self.running_mean, self.running_var
        return F.batch_norm(rows, mean, variance, self.weight, self.bias, eps=self.eps)


def attention_divergence(descriptors: Descriptors) -> Tensor:
    """KL(a^t || a^v), mean over the batch, (), in nats: images should attend to what their captions do.

    CVSE (section 3.4) has this term in addition; the captions' attention is the target and gets no gradient.
    """
    told = descriptors.text_attention.detach()
    seen = descriptors.image_attention.clamp_min(torch.finfo(told.dtype).tiny).log()
    return F.kl_div(seen, told, reduction="batchmean")
