"""Training with several processes (torchrun): each encodes its part of a batch, all compute the same loss.

The embeddings of all parts, and the inputs of the method, are gathered on every process in the order of the
batch. All processes then compute the same loss with the same random numbers. Methods therefore need no code
for processes, and their queues, clusters and averages stay equal without communication.

Gradients: W processes have the same loss L, so each process r already knows dL/de_r, the gradient of its own
embeddings e_r. `all_gather_rows` passes W dL/de_r to the encoder's weights w. Parameters that all processes
use alike (temperature, weights of the method) get dL/dw on each process. `all_reduce_mean` turns both into
the gradient of a single process:

    1/W sum_r W dL/de_r de_r/dw = dL/dw         1/W sum_r dL/dw = dL/dw

With a local loss, each process computes only what its own rows add to the loss, L_r, and L = sum_r L_r. It
returns W L_r. `all_gather_rows` then also passes on what the losses of the other processes say about e_r:
the sum over all s of W dL_s/de_r, which is W dL/de_r. Parameters that all processes use alike get W dL_r/dw,
whose mean is dL/dw.

With a single process, these functions do nothing.
"""

import os
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from accelerate.utils import gather_object
from torch import Tensor, nn

from itr_core.batch import PairBatch, Record, join_rows, map_rows, pad


def all_gather_rows(record: Record, *, local_loss: bool = False) -> Record:
    """Concatenate the rows of all processes, with gradients; fields without rows stay unchanged.

    Args:
        record: the rows of this process.
        local_loss: the losses of the processes differ, so that a row has gradients of all of them.
    """
    if not _is_distributed():
        return record
    gathered = map_rows(record, lambda rows: _all_gather(rows, local_loss))
    if isinstance(gathered, PairBatch):
        gathered.captions = gather_object(gathered.captions)
    return gathered


def own_rows(count: int) -> slice:
    """Return which of the gathered rows are the `count` rows of this process."""
    counts = gather_object([count])
    start = sum(counts[: dist.get_rank()]) if _is_distributed() else 0
    return slice(start, start + count)


@torch.no_grad()
def all_reduce_mean(tensors: Iterable[Tensor | None]) -> None:
    """Replace each tensor by its mean over all processes, in place."""
    if _is_distributed():
        for tensor in tensors:
            if tensor is not None:
                dist.all_reduce(tensor)
                tensor.div_(dist.get_world_size())


@torch.no_grad()
def broadcast_from_rank0(modules: Iterable[nn.Module]) -> None:
    """Copy the weights and buffers of the first process to all others."""
    if _is_distributed():
        for module in modules:
            for value in module.state_dict().values():
                dist.broadcast(value, src=0)


def restarts_allowed() -> bool:
    """Return whether torchrun starts all processes again when one of them fails (--max-restarts).

    The number of restarts so far cannot be asked instead: it differs between the machines of a run.
    """
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


class _Gather(torch.autograd.Function):
    """Tensors of one shape of all processes; their gradients are summed over the processes."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor) -> tuple[Tensor, ...]:
        parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, mine)
        return tuple(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = torch.stack(gradients)
        dist.all_reduce(total)
        return total[dist.get_rank()]


def _all_gather(x: Tensor, local_loss: bool) -> Tensor:
    """(b, ...) of each process -> (B, ...); b may differ, and so may other sizes, which are zero-padded."""
    world = dist.get_world_size()
    shape = torch.tensor(x.shape, device=x.device)
    shapes = [torch.empty_like(shape) for _ in range(world)]
    dist.all_gather(shapes, shape)
    mine = pad(x, torch.stack(shapes).amax(0).tolist()).clone(memory_format=torch.contiguous_format)
    if local_loss and mine.requires_grad:
        parts = list(_Gather.apply(mine))
    else:
        parts = [torch.empty_like(mine) for _ in range(world)]
        dist.all_gather(parts, mine.detach())
        if mine.requires_grad:
            mine.register_hook(lambda gradient: gradient * world)
            parts[dist.get_rank()] = mine
    return join_rows([part[: int(shape[0])] for part, shape in zip(parts, shapes, strict=True)])
