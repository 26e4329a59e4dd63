"""Base class of the training objectives: a module that maps a batch of embeddings to named scalar terms."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor, nn

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.encoders.heads import Roles
from itr_core.errors import ModelError

if TYPE_CHECKING:
    from itr_core.pairs.pairset import Relevance, Triple
    from itr_core.supervision.concept_graph import ConceptGraph

NEEDS = frozenset(
    {
        "tokens",
        "positive_text",
        "negative_text",
        "false_captions",
        "relevance",
        "labels",
        "concepts",
        "teachers",
        "momentum",
        "logit_bias",
    }
)
"""Inputs that a method may request: patch and word tokens, generated captions, captions that the source knows
to be false, which captions are true of which images, labels, concepts of captions, frozen uni-modal
teachers, a second pass through a momentum copy of the encoder, and a learned bias of the logits."""

INFONCE = "infonce"
"""Name of the InfoNCE term between the two embeddings; all methods that use InfoNCE share it."""


def require_at_least(least: float, **options: float) -> None:
    """Raise ModelError for the first option whose value is not at least `least`."""
    for name, value in options.items():
        if not value >= least:  # NaN is not
            raise ModelError(f"{name}={value}: must be at least {least}.")


def require_positive(**options: float) -> None:
    """Raise ModelError for the first option whose value is not above 0."""
    for name, value in options.items():
        if not value > 0:
            raise ModelError(f"{name}={value}: must be above 0.")


@dataclass(frozen=True)
class Setup:
    """What a method can read before the first step. All of it is derived from the training source."""

    dim: int
    """d, number of dimensions of the joint space."""
    captions: Sequence[Sequence[str]] = ()
    """The captions of each training image, indexed by `PairBatch.image_id`."""
    triples: "Sequence[Triple]" = ()
    """Relations between words that the source provides, such as (puppy, Synonym, dog)."""
    labels: Sequence[str] = ()
    """Names of the C columns of `PairBatch.labels`."""
    concepts: "ConceptGraph | None" = None
    """The K concepts of the columns of `PairBatch.concepts`, with their adjacency."""
    relevance: "Relevance | None" = None
    """Which captions are true of which images, if the source knows it. Images and captions are numbered as in
    `PairBatch`."""
    embed: Callable[[], tuple[np.ndarray, np.ndarray]] | None = None
    """Embeds the source with the encoder before training. Returns unit vectors of the images (n, d) and, for
    each image, the unit mean of its captions (n, d). Takes as long as one pass over the data."""
    encode_texts: Callable[[list[str]], np.ndarray] | None = None
    """Maps N texts to unit vectors (N, d) with the encoder before training."""
    seed: int = 0
    """Random seed of the weights that the method draws."""


class Method(nn.Module, ABC):
    """A training objective.

    Its parameters (heads, temperatures) are trained together with those of the encoder. Its buffers (queues,
    averages) are saved and restored with them. A method never calls the encoder during training.

    The trainer calls, in this order: the constructor, which takes the options of the method as keywords with
    defaults and sets `needs` and `weights`; `build`, which creates the parts whose shapes depend on the
    source; `prepare`, which fills buffers from the data (once: a resumed run restores them); and `forward` at
    every step.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Names of published settings and the options that they set, for the option `preset` of `make_method`."""
    needs: frozenset[str] = frozenset()
    """The subset of `NEEDS` that the trainer supplies; it computes no others."""
    weights: dict[str, float]
    """Weights of the terms: the loss is the sum of `weights[name] * terms[name]`."""
    replaces_infonce: bool = False
    """Whether the method has its own contrastive loss between images and captions, so that a combination must
    not add InfoNCE."""
    momentum: float = 0.0
    """With the need "momentum": decay of the momentum copy of the encoder, in [0, 1]."""
    notes: tuple[str, ...] = ()
    """What `build` decided from the data, to tell who started the run."""

    def build(self, setup: Setup) -> None:
        """Create the parts whose shapes depend on the source or the encoder."""

    def prepare(self, setup: Setup) -> None:
        """Fill the buffers from the source, before the first step of a run."""

    @abstractmethod
    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return the named, unweighted terms, each of shape ()."""

    def share(self, out: EncoderOutput, batch: PairBatch, rows: slice) -> dict[str, Tensor]:
        """Return what the rows from `rows.start` to `rows.stop` add to each term of `forward`.

        The shares of all parts of a batch add up to the terms. Only methods whose terms are sums over rows
        have shares (`has_shares`); others need the similarities of all pairs, for example to rank them.
        """
        raise NotImplementedError

    @property
    def has_shares(self) -> bool:
        """Whether the method has `share`."""
        return type(self).share is not Method.share

    def positive_text(self, captions: Sequence[str], anchor: int, random: np.random.Generator) -> str:
        """Generate a caption that is true of the image of `captions[anchor]` (need "positive_text")."""
        raise NotImplementedError

    def negative_text(self, caption: str, other: str, random: np.random.Generator) -> str:
        """Generate an untrue caption; `other` is a caption of another image (need "negative_text")."""
        raise NotImplementedError

    def heads(self) -> dict[str, Tensor]:
        """Return the tensors to store next to the trained model: by default, all parameters."""
        return {name: weight.detach() for name, weight in self.named_parameters()}

    def roles(self) -> Roles:
        """Return what the heads do in retrieval: by default, nothing."""
        return Roles()
