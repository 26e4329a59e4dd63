"""Merge several small dual encoders into one, so that one search in one index gives their ensemble."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from itr_core.encoders.model_specs import CONFIG_FILE, WEIGHT_FILES

OF_ONE_MEMBER = (
    "last",
    "state.safetensors",
    "heads.safetensors",
    "metrics.jsonl",
    "training.json",
    "README.md",
    "checksums.json",
)
"""Files of a training run that describe one member and would be wrong beside the merged model."""


def merge(checkpoints: Sequence[Path], out: Path) -> Path:
    """Write K checkpoints that share a frozen image trunk as one model.

    All widths of the text tower and of the joint space become K times as large, and the weights of the
    members do not interact: the merged matrices are block-diagonal. An embedding of the merged model is the
    concatenation of the members' embeddings, and a cosine is the mean of theirs, up to two approximations:
    layer norms normalise over all members at once, and members whose embeddings have larger norms weigh more.
    The result is a plain open_clip model, which can be trained further.

    Args:
        checkpoints: folders of CLIP models with the same architecture, tokenizer and trunk; the trunk is a
            timm model with a linear head.
        out: folder to write, which must not exist.

    Returns:
        `out`.
    """
    members = [load_file(folder / WEIGHT_FILES[0]) for folder in checkpoints]
    merged = {name: _merged(name, [member[name] for member in members]) for name in members[0]}
    shutil.copytree(checkpoints[0], out, ignore=shutil.ignore_patterns(*OF_ONE_MEMBER))
    save_file({name: value.contiguous() for name, value in merged.items()}, out / WEIGHT_FILES[0])
    config = json.loads((out / CONFIG_FILE).read_text(encoding="utf-8"))
    config["model_cfg"]["embed_dim"] *= len(members)
    for size in ("width", "heads"):
        config["model_cfg"]["text_cfg"][size] *= len(members)
    (out / CONFIG_FILE).write_text(json.dumps(config, indent=2), encoding="utf-8")
    return out


def _merged(name: str, values: list[Tensor]) -> Tensor:
    """Merge the members' weights of one name."""
    if name == "logit_scale" or name.startswith("visual.trunk."):
        return values[0]
    if "embedding" in name:  # (tokens or positions, width)
        return torch.cat(values, dim=1)
    if name.startswith("visual.head."):  # all members read the same features
        return torch.cat(values)
    if "in_proj" in name:  # weights of queries, keys and values, one above the other
        return torch.cat([_blocks(part) for part in zip(*(value.chunk(3) for value in values), strict=True)])
    return _blocks(values)


def _blocks(values: Sequence[Tensor]) -> Tensor:
    """Concatenate vectors; put matrices on a diagonal."""
    if values[0].ndim == 1:
        return torch.cat([*values])
    return torch.block_diag(*values)
