"""Fair comparisons in one process: the functions alternate, and ratios are taken within a round.

Work of other processes then slows all functions alike.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

Run = Callable[[], Any]


def alternate(
    runs: Mapping[str, Run], rounds: int, *, warm_up: int = 1, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Return the seconds that each function takes in each round.

    Args:
        runs: functions by name; each is called once in every round, in this order.
        rounds: rounds that are counted, at least 1.
        warm_up: rounds before them, which are not counted.
        clock: returns seconds; by default processor time of this process.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in track(range(warm_up + rounds), "Rounds", console=Console(stderr=True), transient=True):
        for name, run in runs.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return {name: each[warm_up:] for name, each in seconds.items()}


def median_ratio(numerators: list[float], denominators: list[float]) -> float:
    """Return the median over rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def saved_bytes(run: Run) -> int:
    """Return the bytes that autograd saves for the backward pass during `run`, each storage counted once."""
    saved: dict[int, Tensor] = {}

    def save(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        _result = run()  # kept until the storages are counted
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
