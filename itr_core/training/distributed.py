"""One batch, several processes (torchrun): each encodes its part, and all compute the loss of the whole.

What the encoder made of the parts, and what a method may know of them, is put together on every process, in
the order of the batch. All then do the same arithmetic with the same chance, so that a method knows nothing
of processes, and its queues, clusters and averages are equal everywhere without ever being sent.

Gradients: all W processes have the same loss L, so each already knows what L says of its own embeddings e_r,
and nothing is sent back. `all_gather_rows` passes W dL/de_r on to the weights w of the encoder; what all processes
use alike (the temperature, a method's own weights) gets dL/dw on each. `all_reduce_mean` makes both the gradient of a
single process:

    1/W sum_r W dL/de_r de_r/dw = dL/dw         1/W sum_r dL/dw = dL/dw

With a single process nothing happens.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from accelerate.utils import gather_object
from torch import Tensor, nn

from itr_core.batch import PairBatch, Record, each_tensor, join_rows, pad


def all_gather_rows(record: Record) -> Record:
    """Put the rows of all processes together, with gradients; what has no rows stays as it is."""
    if not _several():
        return record
    whole = each_tensor(record, _all_gather)
    if isinstance(whole, PairBatch):
        whole.captions = gather_object(whole.captions)
    return whole


@torch.no_grad()
def all_reduce_mean(tensors: Iterable[Tensor | None]) -> None:
    """Put the mean over all processes in the place of each tensor."""
    if _several():
        for tensor in tensors:
            if tensor is not None:
                dist.all_reduce(tensor)
                tensor /= dist.get_world_size()


@torch.no_grad()
def broadcast_from_rank0(modules: Iterable[nn.Module]) -> None:
    """Give every process the weights and buffers of the first."""
    if _several():
        for module in modules:
            for value in module.state_dict().values():
                dist.broadcast(value, src=0)


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()


def _all_gather(x: Tensor) -> Tensor:
    """(b, ...) of each process -> (B, ...); b and, where zeros may follow, other sizes may differ."""
    if not x.ndim:
        return x
    world = dist.get_world_size()
    shape = torch.tensor(x.shape, device=x.device)
    shapes = [torch.empty_like(shape) for _ in range(world)]
    dist.all_gather(shapes, shape)
    mine = pad(x, torch.stack(shapes).amax(0).tolist()).clone(memory_format=torch.contiguous_format)
    parts = [torch.empty_like(mine) for _ in range(world)]
    dist.all_gather(parts, mine.detach())
    if mine.requires_grad:
        mine.register_hook(lambda gradient: gradient * world)
        parts[dist.get_rank()] = mine
    return join_rows([part[: int(shape[0])] for part, shape in zip(parts, shapes, strict=True)])
