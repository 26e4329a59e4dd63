"""Describe images and captions as mixtures of concepts: a graph of concepts, and attention over it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

PROMPT = "a picture of {}"
HIDDEN = 512
SHARPNESS = 10.0
"""Inverse temperature of the attention ("smooth" in CVSE)."""
NAMED_WEIGHT = 0.35
"""r, weight of the concepts that a caption names in its attention (CVSE on Flickr30K)."""


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
    """Graph convolutions over concepts, and attention of an embedding over the result.

    Concepts c with adjacency A (`ConceptGraph`) and embeddings x_c of a short prompt pass two graph
    convolutions (Kipf & Welling, arXiv:1609.02907). An embedding v then attends to them:

        X'  = unit( A LeakyReLU_0.2( A X W_1 ) W_2 )
        e_c = cos( w * tanh(BN(Q v)), tanh(BN(P x'_c)) )
        a   = softmax_c(10 e)
        u   = unit( sum_c a_c x'_c )

    Images and texts have a Q and a w each. The attention of a caption that names the concepts y is
    r softmax(10 y) + (1 - r) a, with r = 0.35.

    References:
        Wang et al., Consensus-Aware Visual-Semantic Embedding for Image-Text Matching (CVSE),
        arXiv:2007.08883, the source of this attention.

    Deviations from the paper:
        Reconstructed: we assume that CODER queries its graph as CVSE, by the same authors, does. Concepts
        start as embeddings of the encoder instead of GloVe vectors; their mean, which all prompts share, is
        subtracted. e_c of CVSE is the plain product w^T[...]. In a thousand dimensions this product grows
        within tens of steps until all images and captions attend to a single concept, where gradients
        vanish. A cosine is bounded and avoids this.
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
        """Initialise the concepts with the embeddings of their names."""
        nodes = torch.from_numpy(encode_texts([PROMPT.format(name) for name in names]))
        self.nodes.copy_(F.normalize(nodes - nodes.mean(0), dim=-1))

    def related(self) -> Tensor:
        """Return the concepts after the graph convolutions: (K, d), unit vectors."""
        first, second = self.convolutions
        hidden = F.leaky_relu(self.adjacency @ first(self.nodes), 0.2)
        return F.normalize(self.adjacency @ second(hidden), dim=-1)

    def forward(self, related: Tensor, image: Tensor, text: Tensor, named: Tensor) -> Descriptors:
        """Describe embeddings (B, d) by the concepts of `related()`.

        `named` is (B, K), 1 where the caption names the concept.
        """
        concepts = self.concept(related)
        image_attention = self._attention("image", image, concepts)
        text_attention = self._text_attention(text, named, concepts)
        return Descriptors(
            F.normalize(image_attention @ related, dim=-1),
            F.normalize(text_attention @ related, dim=-1),
            image_attention,
            text_attention,
        )

    def describe_images(self, related: Tensor, concepts: Tensor, image: Tensor) -> Tensor:
        """Describe embeddings of images (B, d): (B, d), unit vectors; `concepts` is `concept(related)`."""
        return F.normalize(self._attention("image", image, concepts) @ related, dim=-1)

    def describe_texts(self, related: Tensor, concepts: Tensor, text: Tensor, named: Tensor) -> Tensor:
        """Describe embeddings of texts (B, d) that name the concepts `named` (B, K), as `describe_images`."""
        return F.normalize(self._text_attention(text, named, concepts) @ related, dim=-1)

    def _text_attention(self, text: Tensor, named: Tensor, concepts: Tensor) -> Tensor:
        attention = self._attention("text", text, concepts)
        return NAMED_WEIGHT * (SHARPNESS * named).softmax(1) + (1 - NAMED_WEIGHT) * attention

    def _attention(self, modality: str, embeddings: Tensor, concepts: Tensor) -> Tensor:
        queries = self.queries[modality](embeddings) * self.scores[modality]
        cosines = F.normalize(queries, dim=1) @ F.normalize(concepts, dim=1).T
        return (SHARPNESS * cosines).softmax(1)


class _Projection(nn.Sequential):
    def __init__(self, dim: int) -> None:
        super().__init__(nn.Linear(dim, dim, bias=False), _BatchNorm(dim), nn.Tanh())


class _BatchNorm(nn.BatchNorm1d):
    """Batch norm that uses the running statistics if the batch has a single row."""

    def forward(self, rows: Tensor) -> Tensor:
        if len(rows) > 1:
            return super().forward(rows)
        mean, variance = self.running_mean, self.running_var
        return F.batch_norm(rows, mean, variance, self.weight, self.bias, eps=self.eps)


def attention_divergence(descriptors: Descriptors) -> Tensor:
    """Return KL(a^t || a^v), mean over the batch, shape (), in nats.

    It makes images attend to the same concepts as their captions (CVSE, section 3.4). The attention of the
    captions is the target and gets no gradient.
    """
    target = descriptors.text_attention.detach()
    log_attention = descriptors.image_attention.clamp_min(torch.finfo(target.dtype).tiny).log()
    return F.kl_div(log_attention, target, reduction="batchmean")
