"""Batches whose activations do not fit: each part is encoded twice, and only embeddings are kept in between.

Every pair of a contrastive batch meets every other, so the batch cannot be cut before the loss; but the loss
sees embeddings alone. A first pass encodes part by part and forgets all activations, the loss of the whole
batch gives the gradient of every embedding, and a second pass encodes each part again to carry the gradient
on to the weights. So Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup
(GradCache), arXiv:2101.06983; with torch's checkpoint, the second pass is part of `backward`.

Gradients are those of one pass over the whole batch, at the price of one more forward pass. Not so with batch
norm: it takes its statistics from a part instead of the batch. Its running averages count each part once.
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
    """Encode consecutive parts of a batch; of activations, backward holds those of one part at a time.

    `encode` takes a part and its number, and must do the same when asked again: its chance comes from the
    number, not from what the generators went through before. `encoder` is the module with the batch norms.
    """

    def both_passes() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), _kept_statistics(encoder)

    return join(
        [
            checkpoint(
                encode, part, number,
                use_reentrant=False, preserve_rng_state=False, context_fn=both_passes,
            )
            for number, part in enumerate(parts)
        ]
    )  # fmt: skip


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """All batch norms inside a module."""
    return [each for each in module.modules() if isinstance(each, _BatchNorm)]


@contextmanager
def _kept_statistics(module: nn.Module) -> Iterator[None]:
    """Put the running averages of batch norms back to what they were."""
    kept = [(value, value.clone()) for norm in batch_norms(module) for value in norm.buffers()]
    try:
        yield
    finally:
        for value, before in kept:
            value.copy_(before)
