"""A training run as the `pairscope train` command that repeats it."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from itr_core.training.config import TrainConfig

NOT_SHOWN = ("device", "workers")
"""Settings of the machine, which do not change what is learned."""


def train_command(config: Mapping[str, Any], out: str | Path) -> str:
    """Return the command with every setting that differs from its default.

    Args:
        config: fields of `TrainConfig`; those that are missing have their defaults.
        out: folder of the checkpoint.
    """
    defaults = TrainConfig("", "", "", lr=config.get("lr")).with_rates().as_json() | {"lr": None}
    words = ["pairscope", "train", "--out", str(out)]
    for name, value in config.items():
        if name in NOT_SHOWN or value is None or value == defaults[name]:
            continue
        option = f"--{name.replace('_', '-')}"
        if name == "options":
            for key, of_method in value.items():
                words += [option, f"{key}={json.dumps(of_method)}"]
        elif value is True:
            words.append(option)
        elif value is False:
            words.append(f"--no-{option.removeprefix('--')}")
        elif isinstance(value, list | tuple):
            for each in value:
                words += [option, str(each)]
        else:
            words += [option, str(value)]
    return shlex.join(words)
