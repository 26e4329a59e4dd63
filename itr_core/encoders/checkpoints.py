"""Checkpoint folders in open_clip's own layout: plain open_clip loads them with `local-dir:FOLDER`.

open_clip_config.json, open_clip_model.safetensors      the model
tokenizer.json, tokenizer_config.json                   the tokenizer, unless it is open_clip's default
words.txt                                               words of the training captions, one a line
training.json, README.md                                how it was made, for programs and for people
heads.safetensors                                       what a method learned beyond the two towers
"""

import copy
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from open_clip import SimpleTokenizer
from safetensors.torch import save_file
from torch import Tensor, nn

from itr_core.encoders.loading import CONFIG_FILE, WEIGHT_FILES, WORDS_FILE
from itr_core.errors import ModelError
from itr_core.system.files import replace_folder

HEADS_FILE = "heads.safetensors"
TRAINING_FILE = "training.json"


def save(
    folder: Path,
    model: nn.Module,
    tokenizer: Any,
    config: Mapping[str, Any],
    *,
    dtype: str = "float32",
    words: Iterable[str] = (),
    training: Mapping[str, Any] | None = None,
    card: str | None = None,
    heads: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a model whole or not at all, in the place of any folder of that name.

    `config` is `DualEncoder.config`; `dtype` float16 halves the matrices and leaves vectors (norms, biases,
    statistics) as they are; `training` must be fit for JSON; `card` is the README, else made from `training`.
    """
    if dtype not in ("float32", "float16"):
        raise ModelError(f"Weights are stored as float32 or float16, not {dtype!r}.")
    config = copy.deepcopy(dict(config))
    if not isinstance(
        tokenizer, SimpleTokenizer
    ):  # only with a name does open_clip look for a tokenizer in the folder
        config["model_cfg"]["text_cfg"].setdefault("hf_tokenizer_name", folder.name)
    training = dict(training or {})

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        new = Path(scratch) / folder.name
        new.mkdir()
        if not isinstance(tokenizer, SimpleTokenizer):
            tokenizer.save_pretrained(str(new))
        _write(new / CONFIG_FILE, json.dumps(config, indent=2))
        _write(new / WORDS_FILE, "".join(f"{word}\n" for word in sorted(set(words))))
        _write(new / TRAINING_FILE, json.dumps(training, indent=2))
        _write(new / "README.md", model_card(folder.name, training) if card is None else card)
        save_file(
            _stored(model.state_dict(), torch.float32 if dtype == "float32" else torch.float16),
            new / WEIGHT_FILES[0],
            metadata={"format": "pt"},
        )
        if heads:
            save_file(_stored(heads, torch.float32), new / HEADS_FILE)
        replace_folder(new, folder)


def model_card(name: str, training: Mapping[str, Any]) -> str:
    """A README with the hub's front matter: what it is, how to load it, and all of `training` in a table."""
    rows = "".join(f"| {key} | {_cell(value)} |\n" for key, value in training.items())
    table = f"\n## How it was made\n\n| | |\n|---|---|\n{rows}" if rows else ""
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
model.eval()  # batch norms by their averages
tokenizer = open_clip.get_tokenizer("local-dir:.")
```
{table}"""


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_cell(part)}" for key, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|").replace("\n", " ")


def _stored(tensors: Mapping[str, Tensor], matrices: torch.dtype) -> dict[str, Tensor]:
    """Contiguous copies: safetensors refuses tensors that share memory, open_clip misses absent ones."""

    def stored(tensor: Tensor) -> Tensor:
        dtype = tensor.dtype
        if dtype.is_floating_point:
            dtype = matrices if tensor.ndim > 1 else torch.float32
        return tensor.detach().to("cpu", dtype, copy=True).contiguous()

    return {name: stored(tensor) for name, tensor in tensors.items()}


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
