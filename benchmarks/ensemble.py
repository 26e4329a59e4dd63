"""Several small dual encoders as one: what an ensemble finds, by one search in one index."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from itr_core.encoders.loading import CONFIG_FILE, WEIGHT_FILES

OF_ONE = ("last", "state.safetensors", "heads.safetensors", "metrics.jsonl", "training.json", "README.md")
"""What a training leaves behind that is true of its own model alone."""


def union(checkpoints: Sequence[Path], out: Path) -> Path:
    """Write K checkpoints that share a frozen image trunk as one, and return `out`.

    Every width of the text tower and of the joint space is K times as large, and weights of different members
    do not mix: their matrices are blocks on a diagonal. So the new embeddings are those of the members end to
    end, and the new cosine is the mean of theirs - up to the layer norms, which now see all K streams at
    once, and to the norms of the members' embeddings, which weigh them. The result is a plain open_clip model
    and can be trained on.

    checkpoints: folders of CLIP models of one architecture, tokenizer and trunk, the last a timm one with a
    linear head.
    """
    members = [load_file(folder / WEIGHT_FILES[0]) for folder in checkpoints]
    joined = {name: _joined(name, [member[name] for member in members]) for name in members[0]}
    shutil.copytree(checkpoints[0], out, ignore=shutil.ignore_patterns(*OF_ONE))
    save_file({name: value.contiguous() for name, value in joined.items()}, out / WEIGHT_FILES[0])
    config = json.loads((out / CONFIG_FILE).read_text())
    config["model_cfg"]["embed_dim"] *= len(members)
    for size in ("width", "heads"):
        config["model_cfg"]["text_cfg"][size] *= len(members)
    (out / CONFIG_FILE).write_text(json.dumps(config, indent=2))
    return out


def _joined(name: str, values: list[Tensor]) -> Tensor:
    """Make the weight of that name from the members'."""
    if name == "logit_scale" or name.startswith("visual.trunk."):
        return values[0]
    if "embedding" in name:  # (tokens or positions, width)
        return torch.cat(values, dim=1)
    if name.startswith("visual.head."):  # all members read the same features
        return torch.cat(values)
    if "in_proj" in name:  # queries, keys and values, one above the other
        return torch.cat([_blocks(part) for part in zip(*(value.chunk(3) for value in values), strict=True)])
    return _blocks(values)


def _blocks(values: Sequence[Tensor]) -> Tensor:
    return torch.cat([*values]) if values[0].ndim == 1 else torch.block_diag(*values)
