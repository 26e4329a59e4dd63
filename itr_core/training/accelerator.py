"""What a run computes on, alone or as one of several processes, and in what order it adds up."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import get_available_trackers
from accelerate.utils import InitProcessGroupKwargs

from itr_core.errors import PairscopeError, did_you_mean
from itr_core.training.config import TrainConfig


@contextmanager
def open_accelerator(config: TrainConfig, out: Path) -> Iterator[Accelerator]:
    """Yield accelerate's view of the devices that the settings ask for; join the processes of torchrun."""
    installed = [tracker.value for tracker in get_available_trackers()]
    for name in config.trackers:
        if name not in installed:
            raise PairscopeError(f"The tracker {name!r} is not installed.{did_you_mean(name, installed)}")
    on_cuda = torch.cuda.is_available() and config.device != "cpu"
    bf16 = config.precision == "bf16" or (config.precision == "auto" and on_cuda)
    patience = InitProcessGroupKwargs(timeout=timedelta(days=1))  # while the first process validates
    accelerator = Accelerator(
        cpu=config.device == "cpu",
        mixed_precision="bf16" if bf16 else "no",
        log_with=list(config.trackers) or None,
        project_dir=out,
        kwargs_handlers=[patience],
    )
    try:
        if accelerator.num_processes > config.batch_size:
            raise PairscopeError(
                f"batch_size={config.batch_size} leaves some of {accelerator.num_processes} processes "
                "without an image; start fewer processes, or make batches larger."
            )
        if config.trackers:
            plain = {
                name: value for name, value in config.as_json().items() if not isinstance(value, list | dict)
            }
            accelerator.init_trackers("pairscope", plain)
        yield accelerator
    finally:
        for tracker in accelerator.trackers:  # not end_training: a group that was left cannot be joined again
            tracker.finish()
        AcceleratorState._reset_state(True)  # the next run may ask for another device or precision


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """On a CPU, add up the gradients of gathered rows in one order, whatever thread is first."""
    options: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), options.fill_uninitialized_memory
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        options.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        options.fill_uninitialized_memory = before[1]
