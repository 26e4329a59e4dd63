"""The state of a run on disk: everything that a stopped run needs to resume, in one safetensors file.

The random numbers of a step depend only on the seed and the step, and so does the learning rate. There is no
state of generators or of a scheduler to save: the file has weights, optimiser moments, averages and a record.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from itr_core.errors import ModelError
from itr_core.system.files import whole_file

# Metadata of the file; part of the file format.
_METADATA_KEY = "facts"  # the trainer state
_DIGEST_KEY = "sha256"  # of the trainer state and all tensors


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
    facts = json.dumps(trainer_state)
    with whole_file(path) as part:
        save_file(tensors, part, metadata={_METADATA_KEY: facts, _DIGEST_KEY: _digest(facts, tensors)})
        if path.exists():
            _second_name(path, previous(path))


def previous(path: Path) -> Path:
    """Return the path of the state that was saved before the one in `path`."""
    return path.with_suffix(f".previous{path.suffix}")


def load_trainer_state(path: Path) -> dict[str, Any]:
    """Read the `trainer_state` of `save_state` alone.

    Raises:
        ModelError: There is no such file, or it is damaged. The message names the state saved before it.
    """
    if not path.exists():
        raise ModelError(f"There is no run to resume in {path.parent}; start one without --resume.")
    if facts := _facts_of_whole_state(path):
        return facts
    before = _facts_of_whole_state(previous(path)) if previous(path).exists() else None
    if before:
        remedy = (
            f"The state before it is whole: to resume after step {before['step']}, rename {previous(path)} "
            f"to {path.name} and repeat the command."
        )
    else:
        remedy = f"There is no other: to start anew, delete {path} and repeat the command without --resume."
    raise ModelError(f"The training state {path} is damaged. {remedy}")


def _facts_of_whole_state(path: Path) -> dict[str, Any] | None:
    """Return the trainer state of a file, or None if the file is not as it was written."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            facts = metadata[_METADATA_KEY]
            if metadata.keys() != {_METADATA_KEY}:  # the only key in files of version 0.2
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
                if metadata != {_METADATA_KEY: facts, _DIGEST_KEY: _digest(facts, tensors)}:
                    return None
            return json.loads(facts)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
        return None


def _digest(facts: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the hex SHA-256 digest of the whole content of a state."""
    digest = hashlib.sha256(facts.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _second_name(path: Path, other: Path) -> None:
    """Make `other` the same file as `path`, or a copy where the file system has no hard links."""
    with whole_file(other) as part:
        part.unlink()
        try:
            os.link(path, part)
        except OSError:
            shutil.copyfile(path, part)


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
