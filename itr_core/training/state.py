"""Everything a stopped run needs to go on as if it had not stopped, in one file without pickle.

A step's randomness depends on the seed and the step alone and the learning rate on the step alone, so no
generator and no scheduler has a state to keep: weights, moments, averages and a few numbers are all.
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


def save_state(
    path: Path, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer, facts: dict[str, Any]
) -> None:
    """Write weights and buffers, the optimiser's moments and `facts` (JSON), whole or not at all."""
    tensors = {
        f"{name}/{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": value for key, value in moments.items()}
    # clone: safetensors refuses tensors that share memory
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with whole_file(path) as part:
        save_file(tensors, part, metadata={"facts": json.dumps(facts)})


def load_facts(path: Path) -> dict[str, Any]:
    """Read the numbers of `save_state` alone; raise ModelError where there is no such file."""
    try:
        with safe_open(path, "pt") as file:
            return json.loads(file.metadata()["facts"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"There is no run to resume in {path.parent} ({error}); start one without --resume."
        ) from error


def load_state(path: Path, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
    """Put back what `save_state` wrote, into modules and an optimiser built like those it was called with."""
    states: dict[str, dict[str, Tensor]] = {name: {} for name in modules}
    moments: dict[int, dict[str, Tensor]] = {}
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118 - no mapping
            owner, _, key = name.partition("/")
            if owner == "optimizer":
                index, _, key = key.partition("/")
                moments.setdefault(int(index), {})[key] = file.get_tensor(name)
            else:
                states[owner][key] = file.get_tensor(name)
    for name, module in modules.items():
        module.load_state_dict(states[name])
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
