"""Gradient caching: train with batches whose activations do not fit into memory.

The contrastive loss compares every pair of a batch with every other, so the batch cannot be split before the
loss. The loss needs only the embeddings, however:

1. Encode the batch part by part and keep the embeddings, but no activations.
2. Compute the loss of the whole batch and its gradient with respect to the embeddings.
3. Encode each part again and propagate the gradient of its embeddings to the weights.

This is GradCache (Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup,
arXiv:2101.06983). Steps 2 and 3 are `backward` with torch's activation checkpointing.

The gradients are those of one pass over the whole batch, at the cost of a second forward pass. Batch norm is
the exception: its batch statistics are those of a part. Its running averages count each part once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from itr_core.batch import EncoderOutput, PairBatch, join


def encode_in_chunks(
    encode: Callable[[PairBatch, int], EncoderOutput], parts: Sequence[PairBatch], encoder: nn.Module
) -> EncoderOutput:
    """Encode the parts of a batch so that `backward` holds the activations of one part at a time.

    Args:
        encode: maps a part and its index to embeddings. It is called twice for each part and must return the
            same both times: its random numbers may depend on the index, not on the state of a generator.
        parts: consecutive parts of one batch.
        encoder: the module whose batch norms must not update their running averages twice.

    Returns:
        The embeddings of the whole batch.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _frozen_statistics(encoder)  # of the first and of the second pass

    return join(
        [
            checkpoint(
                encode, part, index,
                use_reentrant=False, preserve_rng_state=False, context_fn=contexts,
            )
            for index, part in enumerate(parts)
        ]
    )  # fmt: skip


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """Return all batch norms inside a module."""
    return [each for each in module.modules() if isinstance(each, _BatchNorm)]


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Restore the running averages of batch norms at the end of the block."""
    saved = [(value, value.clone()) for norm in batch_norms(module) for value in norm.buffers()]
    try:
        yield
    finally:
        for value, before in saved:
            value.copy_(before)
