"""Short training runs of tiny models, and what they leave in their folder."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

WEIGHTS = "open_clip_model.safetensors"


def settings(**changes: Any) -> dict[str, Any]:
    """Arguments of `train` for 6 steps of the architecture `tiny`, with `changes`."""
    small = {"model": "tiny/none", "vocab_size": 300, "batch_size": 16, "max_steps": 6, "crop": 0.0}
    return small | {"device": "cpu", "lr": 3e-3, "progress": False} | changes


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint folder."""
    return load_file(folder / WEIGHTS)


def log(folder: Path) -> list[dict[str, Any]]:
    """The entries of a run's log."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Assert that both have the same tensors, to the last bit."""
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
