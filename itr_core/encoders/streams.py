"""Run a tower on several batches at a time on the CPU.

Threads that share a batch wait for the slowest of them in every layer, so a process that prepares images on
one of the cores delays all of them. A batch in a thread of its own waits for no other.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

STREAMS = 4
"""Most batches at a time: a gallery is built in units of four batches of images."""


class _Streams(NamedTuple):
    pool: ThreadPoolExecutor
    number: int


_streams: ContextVar[_Streams | None] = ContextVar("streams", default=None)


@contextmanager
def several_batches() -> Iterator[None]:
    """Let `map_batches`, called by this thread in this context, run several batches at a time.

    Torch's threads are divided among them, and other threads that use torch for the first time meanwhile get
    as few.
    """
    threads = torch.get_num_threads()
    number = min(threads, STREAMS)
    pool = ThreadPoolExecutor(number, initializer=torch.set_num_threads, initargs=(threads // number,))
    token = _streams.set(_Streams(pool, number) if number > 1 else None)
    try:
        with pool:
            yield
    finally:
        _streams.reset(token)
        torch.set_num_threads(threads)  # new threads of the process take the number that was set last


def map_batches(
    tower: Callable[[Tensor], Any], batches: Iterator[Tensor], lock: AbstractContextManager[object]
) -> list[Any]:
    """Return the outputs of a tower for batches, in order and without gradients.

    Args:
        tower: function of one batch.
        batches: as many are held in memory as run at a time.
        lock: held while the tower runs.
    """

    @torch.inference_mode()  # which holds in the thread where it is entered
    def run(batch: Tensor) -> Any:
        return tower(batch)

    streams = _streams.get()
    outputs: list[Any] = []
    while group := list(islice(batches, streams.number if streams else 1)):
        parallel = streams and len(group) > 1 and group[0].device.type == "cpu"
        with lock:
            outputs += streams.pool.map(run, group) if streams and parallel else map(run, group)
    return outputs
