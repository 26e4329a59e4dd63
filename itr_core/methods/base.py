"""What every training objective is: a module from one batch of embeddings to named scalar terms."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from itr_core.outputs import EncoderOutput, PairBatch


class Method(nn.Module, ABC):
    """A training objective.

    Its parameters, if any (heads, temperatures), are trained with the encoder's; its buffers (queues,
    averages) are saved and restored with them. It never calls the encoder.
    """

    needs: frozenset[str] = frozenset()
    """What the trainer must supply beyond the two embeddings; it makes exactly this and no more."""
    weights: dict[str, float]
    """How the trainer adds up the terms: the loss is the sum of `weights[name] * terms[name]`."""

    @abstractmethod
    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return the named, unweighted terms, each of shape ()."""
