"""What every training objective is: a module from one batch of embeddings to named scalar terms."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from itr_core.batch import EncoderOutput, PairBatch

if TYPE_CHECKING:
    from itr_core.pairs.pairset import Triple
    from itr_core.supervision.concept_graph import ConceptGraph

NEEDS = frozenset({"tokens", "positive_text", "negative_text", "labels", "concepts", "teachers", "momentum"})
"""What a method may ask for: patch and word tokens, generated captions, labels, caption concepts, frozen
uni-modal teachers, and a second pass through a slowly following copy of the encoder."""

INFONCE = "infonce"
"""The term that is plain InfoNCE on the two embeddings, whatever method it is part of."""


@dataclass(frozen=True)
class Setup:
    """What a method may know before the first step; all of it comes from the training source."""

    dim: int
    """d, dimensions of the joint space."""
    captions: Sequence[Sequence[str]] = ()
    """The captions of each training image, by the rows that `PairBatch.image_id` names."""
    triples: "Sequence[Triple]" = ()
    """What the source knows of its words: (puppy, Synonym, dog)."""
    labels: Sequence[str] = ()
    """The C names behind the columns of `PairBatch.labels`."""
    concepts: "ConceptGraph | None" = None
    """The K concepts behind the columns of `PairBatch.concepts`, and how they belong together."""
    embed: Callable[[], tuple[np.ndarray, np.ndarray]] | None = None
    """Embeds the source with the encoder as it is before training: unit images (n, d) and, of each image,
    the unit mean of its captions (n, d). Takes as long as one pass over the data."""
    encode_texts: Callable[[list[str]], np.ndarray] | None = None
    """Texts -> unit vectors (N, d), by the encoder as it is before training."""
    seed: int = 0


class Method(nn.Module, ABC):
    """A training objective.

    Its parameters, if any (heads, temperatures), are trained with the encoder's; its buffers (queues,
    averages) are saved and restored with them. It never calls the encoder.

    Its life: the constructor takes the method's options, keywords with defaults, and settles `needs` and
    `weights`; `build` makes the parts whose shapes depend on the source; `prepare` fills buffers from the
    data, once, since a resumed run restores them; `forward` is called at every step.
    """

    needs: frozenset[str] = frozenset()
    """Which of `NEEDS` the trainer must supply; it makes exactly these and no more."""
    weights: dict[str, float]
    """How the trainer adds up the terms: the loss is the sum of `weights[name] * terms[name]`."""
    replaces_infonce: bool = False
    """The method has its own contrast between images and captions; beside it, InfoNCE would count twice."""
    momentum: float = 0.0
    """With the need "momentum": how much of the following copy stays at every step, in [0, 1]."""

    def build(self, setup: Setup) -> None:
        """Make the parts whose shapes depend on the source or the encoder."""

    def prepare(self, setup: Setup) -> None:
        """Compute from the source what the method keeps in its buffers, before a run's first step."""

    @abstractmethod
    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return the named, unweighted terms, each of shape ()."""

    def positive_text(self, captions: Sequence[str], anchor: int, random: np.random.Generator) -> str:
        """With the need "positive_text": make a caption that is true of the image of `captions[anchor]`."""
        raise NotImplementedError

    def negative_text(self, caption: str, other: str, random: np.random.Generator) -> str:
        """With the need "negative_text": make an untrue caption; `other` is one of another image."""
        raise NotImplementedError

    def heads(self) -> dict[str, Tensor]:
        """What of the method is worth keeping beside a trained model: by default, what was learned."""
        return {name: weight.detach() for name, weight in self.named_parameters()}
