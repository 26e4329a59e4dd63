"""Repositories of the Hugging Face hub, stood in by folders in a cache as if they had been downloaded."""

import json
import shutil
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

COMMIT = "a" * 40


class HubCache:
    """A cache of the hub; `folder` is what `huggingface_hub.constants.HF_HUB_CACHE` must be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, repository: str, files: Path, commit: str = COMMIT) -> Path:
        """Copy a folder to the snapshot of a commit, which becomes the newest one of `main`."""
        root = self.folder / f"models--{repository.replace('/', '--')}"
        (root / "refs").mkdir(parents=True, exist_ok=True)
        (root / "refs" / "main").write_text(commit)
        return Path(shutil.copytree(files, root / "snapshots" / commit))


def write_tokenizer(
    folder: Path,
    words: list[str],
    *,
    special: dict[str, str],
    template: str,
    tokenizer_class: str = "PreTrainedTokenizerFast",
    **config: Any,
) -> None:
    """Write a tokenizer of whole words.

    Args:
        folder: a new or existing folder.
        words: its vocabulary; the ids of special tokens come first.
        special: names of special tokens, such as {"pad_token": "<pad>"}, in the order of their ids.
        template: the special tokens around a text, $A.
        tokenizer_class: class of transformers that reads it.
        config: further keys of tokenizer_config.json.
    """
    special = special | {"unk_token": "<unk>"}
    texts = list(dict.fromkeys([*special.values(), *words]))
    ids = {text: index for index, text in enumerate(texts)}
    built = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    built.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    used = [text for text in template.split() if text != "$A"]
    built.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(text, ids[text]) for text in used]
    )
    PreTrainedTokenizerFast(tokenizer_object=built, **special).save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    content = json.loads(file.read_text()) | {"tokenizer_class": tokenizer_class} | config
    file.write_text(json.dumps(content))
