"""Tokenizers of checkpoints: loaded from `tokenizer.json`, never from Python files or other repositories.

transformers decides by `tokenizer_config.json` which class it loads and with which options. It therefore gets
a folder that contains only validated copies of these files.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from transformers import PreTrainedTokenizerFast
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES, tokenizer_class_from_name

from itr_core.encoders.foreign_json import MAX_TOKENIZER_BYTES, Foreign, read_json, validate
from itr_core.errors import ModelError

TOKENIZER, TOKENIZER_CONFIG, SPECIAL_TOKENS = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
)  # fmt: skip
TOKENIZER_FILES = (TOKENIZER, TOKENIZER_CONFIG, SPECIAL_TOKENS)

TokenText = Annotated[str, Field(max_length=200)]


class _Token(Foreign):
    """A special token with its options, as transformers writes them."""

    type_: Literal["AddedToken"] = Field("AddedToken", alias="__type")
    content: TokenText
    lstrip: bool = False
    normalized: bool = True
    rstrip: bool = False
    single_word: bool = False
    special: bool = False
    id: int | None = None


_AnyToken = TokenText | _Token | None
_Tokens = Annotated[list[TokenText | _Token], Field(max_length=10_000)]


class _SpecialTokens(Foreign):
    bos_token: _AnyToken = None
    eos_token: _AnyToken = None
    unk_token: _AnyToken = None
    sep_token: _AnyToken = None
    pad_token: _AnyToken = None
    cls_token: _AnyToken = None
    mask_token: _AnyToken = None
    additional_special_tokens: _Tokens | None = None
    extra_special_tokens: _Tokens | Annotated[dict[TokenText, _AnyToken], Field(max_length=1_000)] | None = (
        None
    )


class _TokenizerConfig(_SpecialTokens):
    tokenizer_class: TokenText | None = None
    model_max_length: Annotated[int | float, Field(ge=1, le=1e31)] | None = None
    padding_side: Literal["left", "right"] | None = None
    truncation_side: Literal["left", "right"] | None = None
    added_tokens_decoder: Annotated[dict[str, _Token], Field(max_length=100_000)] | None = None
    clean_up_tokenization_spaces: bool | None = None
    split_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    add_bos_token: bool | None = None
    add_eos_token: bool | None = None
    add_prefix_space: bool | None = None
    trim_offsets: bool | None = None
    do_lower_case: bool | None = None
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool | None = None
    legacy: bool | None = None
    legacy_behaviour: bool | None = None
    extra_ids: Annotated[int, Field(ge=0, le=10_000)] | None = None
    src_lang: Annotated[str, Field(max_length=20)] | None = None
    tgt_lang: Annotated[str, Field(max_length=20)] | None = None
    errors: Literal["strict", "replace", "ignore"] | None = None
    model_input_names: Annotated[list[TokenText], Field(max_length=10)] | None = None


def stage_tokenizer(files: Mapping[str, Path], folder: Path) -> None:
    """Write a tokenizer into a folder from which transformers loads it without code of the checkpoint.

    Args:
        files: the checkpoint's files by name; those of `TOKENIZER_FILES` are used.
        folder: an existing folder; gets tokenizer.json, and validated versions of the other files.

    Raises:
        ModelError: tokenizer.json is missing, a file is damaged, or the tokenizer needs code of its own.
    """
    source = files.get(TOKENIZER)
    if source is None:
        raise ModelError(
            f"The checkpoint has no {TOKENIZER}, the only kind of tokenizer that is read from a checkpoint. "
            "Load the tokenizer with transformers and write the file with save_pretrained."
        )
    if source.stat().st_size > MAX_TOKENIZER_BYTES:
        raise ModelError(f"{source} has more than {MAX_TOKENIZER_BYTES:,} bytes.")
    shutil.copyfile(source, folder / TOKENIZER)
    config = _known(_TokenizerConfig, files.get(TOKENIZER_CONFIG))
    config["tokenizer_class"] = _class_name(config.get("tokenizer_class"))
    (folder / TOKENIZER_CONFIG).write_text(json.dumps(config), encoding="utf-8")
    if special := _known(_SpecialTokens, files.get(SPECIAL_TOKENS)):
        (folder / SPECIAL_TOKENS).write_text(json.dumps(special), encoding="utf-8")


def _known(model: type[Foreign], path: Path | None) -> dict[str, Any]:
    """Read a file, drop the keys that no tokenizer needs, and validate the others."""
    if path is None:
        return {}
    content = read_json(path)
    auto_map = content.get("auto_map")
    if isinstance(auto_map, list) or (isinstance(auto_map, dict) and "AutoTokenizer" in auto_map):
        raise ModelError(
            f"{path}: the tokenizer needs custom code of the checkpoint (auto_map), which is never run. "
            "Use a checkpoint whose tokenizer is a class of transformers."
        )
    # Files of the hub carry many more keys (chat templates, paths of the machine that wrote them).
    known = {key: value for key, value in content.items() if key in model.model_fields}
    validate(model, known, path)
    return {key: value for key, value in known.items() if value is not None}


def _class_name(name: str | None) -> str:
    """Return the name of the tokenizer class, if it is one of transformers that reads tokenizer.json."""
    for known in (name, str(name).removesuffix("Fast")):
        if known in TOKENIZER_MAPPING_NAMES.values():
            found = tokenizer_class_from_name(str(known))
            if isinstance(found, type) and issubclass(found, PreTrainedTokenizerFast):
                return str(known)
    return PreTrainedTokenizerFast.__name__
