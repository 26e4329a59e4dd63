"""The state of a run on disk: everything that a stopped run needs to resume, in one safetensors file.

The random numbers of a step depend only on the seed and the step, and so does the learning rate. There is no
state of generators or of a scheduler to save: the file has weights, optimiser moments, averages and a record.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from itr_core.errors import ModelError
from itr_core.system.files import whole_file

_METADATA_KEY = "facts"  # of the trainer state; part of the file format


def save_state(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    trainer_state: dict[str, Any],
) -> None:
    """Write the state of a run, completely or not at all.

    Args:
        path: file to write.
        modules: their weights and buffers are saved as NAME/KEY.
        optimiser: its moments are saved as optimizer/INDEX/KEY.
        trainer_state: settings, step and scores, any values that JSON can represent.
    """
    tensors = {
        f"{name}/{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": value for key, value in moments.items()}
    # clone: safetensors refuses tensors that share memory
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with whole_file(path) as part:
        save_file(tensors, part, metadata={_METADATA_KEY: json.dumps(trainer_state)})


def load_trainer_state(path: Path) -> dict[str, Any]:
    """Read the `trainer_state` of `save_state` alone; raise ModelError if there is no such file."""
    try:
        with safe_open(path, "pt") as file:
            return json.loads(file.metadata()[_METADATA_KEY])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"There is no run to resume in {path.parent} ({error}); start one without --resume."
        ) from error


def load_state(path: Path, modules: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer) -> None:
    """Restore what `save_state` wrote, into modules and an optimiser with the same shapes."""
    states: dict[str, dict[str, Tensor]] = {name: {} for name in modules}
    moments: dict[int, dict[str, Tensor]] = {}
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118 - not a mapping, it cannot be iterated
            owner, _, key = name.partition("/")
            if owner == "optimizer":
                index, _, key = key.partition("/")
                moments.setdefault(int(index), {})[key] = file.get_tensor(name)
            else:
                states[owner][key] = file.get_tensor(name)
    for name, module in modules.items():
        module.load_state_dict(states[name])
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": moments, "param_groups": groups})
