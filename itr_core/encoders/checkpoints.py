"""Checkpoint folders in open_clip's own layout, which plain open_clip loads as `local-dir:FOLDER`.

A folder contains:

    open_clip_config.json, open_clip_model.safetensors      the model
    tokenizer.json, tokenizer_config.json                   the tokenizer, unless it is open_clip's default
    text_tower.json                                         configuration of a Hugging Face text tower
    words.txt                                               words of the training captions, one per line
    training.json                                           record of the training
    README.md                                               model card
    heads.safetensors                                       weights of the method outside the two towers
    checksums.json                                          SHA-256 digests of all of these but README.md
"""

import copy
import json
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from open_clip import SimpleTokenizer
from open_clip.hf_model import HFTextEncoder
from safetensors.torch import save_file
from torch import Tensor, nn

from itr_core.encoders.checksums import CHECKSUMS, listed_files, write_checksums
from itr_core.encoders.heads import HEADS_FILE, Heads
from itr_core.encoders.loading import WORDS_FILE
from itr_core.encoders.model_specs import CONFIG_FILE, WEIGHT_FILES
from itr_core.encoders.transformers_config import TEXT_TOWER, write_text_tower
from itr_core.errors import ModelError
from itr_core.system.files import merge_folder, replace_folder, sweep, temporary, writing

TRAINING_FILE = "training.json"


def save(
    folder: Path,
    model: nn.Module,
    tokenizer: Any,
    config: Mapping[str, Any],
    *,
    weights: Mapping[str, Tensor] | None = None,
    dtype: str = "float32",
    words: Iterable[str] = (),
    training: Mapping[str, Any] | None = None,
    card: str | None = None,
    heads: Heads | None = None,
    keep_others: bool = False,
) -> None:
    """Write a checkpoint folder atomically; an existing folder of that name is replaced.

    Args:
        folder: the checkpoint folder.
        model: the open_clip model.
        tokenizer: its tokenizer.
        config: `DualEncoder.config`.
        weights: the weights and buffers to store; by default those of `model`.
        dtype: 'float32', or 'float16' to store matrices in half precision; vectors (norms, biases,
            statistics) are always stored in float32.
        words: words of the training captions.
        training: content of training.json.
        card: text of README.md; by default `model_card` of `training`.
        heads: weights of the method outside the two towers, and what they do in retrieval.
        keep_others: replace only the files of a checkpoint; the other files of an existing folder stay.

    Raises:
        ModelError: Unknown `dtype`.
        WriteError: The folder cannot be written.
    """
    if dtype not in ("float32", "float16"):
        raise ModelError(f"Weights are stored as float32 or float16, not {dtype!r}.")
    config = copy.deepcopy(dict(config))
    own_tokenizer = not isinstance(tokenizer, SimpleTokenizer)
    if own_tokenizer:  # open_clip reads the tokenizer from the folder only if the configuration names one
        config["model_cfg"]["text_cfg"].setdefault("hf_tokenizer_name", folder.name)
    training = dict(training or {})

    target = folder.resolve()  # of a symbolic link, the folder that it points to is written
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent, target.name)
    beside = os.access(target.parent, os.W_OK) and not os.path.ismount(target)
    scratch = temporary(target) if beside or not keep_others else temporary(target / folder.name)
    new = scratch / folder.name
    try:
        with writing(target):
            new.mkdir(parents=True)
            if own_tokenizer:
                tokenizer.save_pretrained(str(new))
            _write(new / CONFIG_FILE, json.dumps(config, indent=2))
            text: Any = getattr(model, "text", None)
            if isinstance(text, HFTextEncoder):
                write_text_tower(text.config.to_dict(), new / TEXT_TOWER)
            _write(new / WORDS_FILE, "".join(f"{word}\n" for word in sorted(set(words))))
            _write(new / TRAINING_FILE, json.dumps(training, indent=2))
            _write(new / "README.md", model_card(folder.name, training) if card is None else card)
            matrices = torch.float32 if dtype == "float32" else torch.float16
            stored = _stored(weights or model.state_dict(), matrices)
            _save_tensors(new / WEIGHT_FILES[0], stored, metadata={"format": "pt"})
            if heads is not None and (heads.tensors or heads.metadata()):
                stored = _stored(heads.tensors, torch.float32)
                _save_tensors(new / HEADS_FILE, stored, metadata=heads.metadata())
            write_checksums(new)
            if keep_others:
                merge_folder(new, target, last=CHECKSUMS, without=_files_of_checkpoint(target))
            else:
                replace_folder(new, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def model_card(name: str, training: Mapping[str, Any]) -> str:
    """Return a README with the hub's front matter, how to load the model, and a table of `training`."""
    rows = "".join(f"| {key} | {_cell(value)} |\n" for key, value in training.items())
    table = f"\n## Training\n\n| | |\n|---|---|\n{rows}" if rows else ""
    return f"""---
library_name: open_clip
pipeline_tag: zero-shot-image-classification
tags: [clip, image-text-retrieval]
---

# {name}

A dual encoder for image-text retrieval, trained with Pairscope. In this folder:

```python
import open_clip

model, preprocess = open_clip.create_model_from_pretrained("local-dir:.")
model.eval()  # batch norms use their running averages
tokenizer = open_clip.get_tokenizer("local-dir:.")
```
{table}"""


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_cell(part)}" for key, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|").replace("\n", " ")


def _stored(tensors: Mapping[str, Tensor], matrices: torch.dtype) -> dict[str, Tensor]:
    """Copy all tensors: safetensors refuses tensors that share memory, and open_clip needs every name."""

    def stored(tensor: Tensor) -> Tensor:
        dtype = tensor.dtype
        if dtype.is_floating_point:
            dtype = matrices if tensor.ndim > 1 else torch.float32
        return tensor.detach().to("cpu", dtype, copy=True).contiguous()

    return {name: stored(tensor) for name, tensor in tensors.items()}


def _files_of_checkpoint(folder: Path) -> Collection[str]:
    try:
        return listed_files(folder)
    except ValueError:  # the list is damaged
        return ()


def _save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file with the permissions of any new file; safetensors permits the owner only."""
    path.touch()
    mode = path.stat().st_mode
    save_file(tensors, path, metadata=metadata)
    path.chmod(mode)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
