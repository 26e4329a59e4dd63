"""Devices, precision and processes of a training run, and a fixed order of summation on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import get_available_trackers
from accelerate.utils import InitProcessGroupKwargs
from torch.nn.attention import SDPBackend, sdpa_kernel

from itr_core.errors import PairscopeError, did_you_mean
from itr_core.training.config import TrainConfig


@contextmanager
def open_accelerator(config: TrainConfig, out: Path) -> Iterator[Accelerator]:
    """Yield an `Accelerator` for the device, precision and trackers in `config`; join torchrun's processes.

    Args:
        config: the settings of the run; trackers also record them.
        out: folder in which trackers write their files.

    Raises:
        PairscopeError: a tracker is not installed, or there are more processes than images in a batch.
    """
    installed = [tracker.value for tracker in get_available_trackers()]
    for name in config.trackers:
        if name not in installed:
            raise PairscopeError(f"The tracker {name!r} is not installed.{did_you_mean(name, installed)}")
    on_cuda = torch.cuda.is_available() and config.device != "cpu"
    bf16 = config.precision == "bf16" or (config.precision == "auto" and on_cuda)
    timeout = InitProcessGroupKwargs(timeout=timedelta(days=1))  # the others wait while the first validates
    accelerator = Accelerator(
        cpu=config.device == "cpu",
        mixed_precision="bf16" if bf16 else "no",
        log_with=list(config.trackers) or None,
        project_dir=out,
        kwargs_handlers=[timeout],
    )
    try:
        if accelerator.num_processes > config.batch_size:
            raise PairscopeError(
                f"batch_size={config.batch_size} is smaller than the number of processes, "
                f"{accelerator.num_processes}. Start fewer processes or increase batch_size."
            )
        if config.trackers:
            scalars = {
                name: value for name, value in config.as_json().items() if not isinstance(value, list | dict)
            }
            accelerator.init_trackers("pairscope", scalars)
        # In bf16 on a CPU, torch's fused attention takes two to three times as long as the plain formula for
        # short sequences such as captions; in fp32 it does not.
        plain = bf16 and accelerator.device.type == "cpu"
        with sdpa_kernel(SDPBackend.MATH) if plain else nullcontext():
            yield accelerator
    finally:
        for tracker in accelerator.trackers:  # not end_training: it leaves the process group for good
            tracker.finish()
        AcceleratorState._reset_state(True)  # the next run may need another device or precision


def emulates_bf16(accelerator: Accelerator) -> bool:
    """Return whether bf16 is used on a processor with AVX2 alone, on which it is slower than fp32."""
    in_bf16 = accelerator.device.type == "cpu" and accelerator.mixed_precision == "bf16"
    return in_bf16 and torch.backends.cpu.get_cpu_capability() == "AVX2"


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Sum the gradients of gathered rows in a fixed order on a CPU, independent of thread timing."""
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
