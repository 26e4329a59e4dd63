"""What `config.json` of a transformers model may contain, with the bounds of its numbers."""

import json
from pathlib import Path
from typing import Annotated, Any

from huggingface_hub import try_to_load_from_cache
from pydantic import Field

from itr_core.encoders.foreign_json import Foreign, read_json, validate
from itr_core.encoders.hub import Repository
from itr_core.encoders.open_clip_config import (
    ContextLength,
    Heads,
    ImageSize,
    Layers,
    Pair,
    PatchSize,
    Scale,
    Text,
    VocabularySize,
    Width,
    text_towers,
)
from itr_core.errors import ModelError

CONFIG = "config.json"
TEXT_TOWER = "text_tower.json"
"""File of a checkpoint with the configuration of its Hugging Face text tower."""
ENCODERS = ("bert", "roberta", "xlm-roberta")
TEXT_TOWERS = (*ENCODERS, "mt5", "m2m_100")

Dropout = Annotated[float, Field(ge=0, lt=1)]
Hidden = Annotated[int, Field(ge=1, le=131_072)]
Name = Annotated[str, Field(pattern=r"^[\w-]{1,40}$")]
TokenId = Annotated[int, Field(ge=-1, le=2_000_000)]


class Tower(Foreign):
    """One tower: every setting that changes the result of one of the architectures in use."""

    model_type: Text = ""
    vocab_size: VocabularySize | None = None
    hidden_size: Width | None = None
    d_model: Width | None = None
    d_kv: Width | None = None
    intermediate_size: Hidden | None = None
    d_ff: Hidden | None = None
    encoder_ffn_dim: Hidden | None = None
    decoder_ffn_dim: Hidden | None = None
    num_hidden_layers: Layers | None = None
    num_layers: Layers | None = None
    num_decoder_layers: Layers | None = None
    encoder_layers: Layers | None = None
    decoder_layers: Layers | None = None
    num_attention_heads: Heads | None = None
    num_heads: Heads | None = None
    encoder_attention_heads: Heads | None = None
    decoder_attention_heads: Heads | None = None
    max_position_embeddings: ContextLength | None = None
    type_vocab_size: Heads | None = None
    project_dim: Width | None = None
    projection_dim: Width | None = None
    projection_size: Width | None = None
    num_channels: Annotated[int, Field(ge=3, le=3)] | None = None
    image_size: ImageSize | Annotated[list[ImageSize], Pair] | None = None
    patch_size: PatchSize | Annotated[list[PatchSize], Pair] | None = None
    num_patches: Annotated[int, Field(ge=1, le=65_536)] | None = None
    vision_use_head: bool | None = None
    hidden_act: Name | None = None
    activation_function: Name | None = None
    feed_forward_proj: Name | None = None
    layer_norm_eps: Scale | None = None
    layer_norm_epsilon: Scale | None = None
    initializer_factor: Scale | None = None
    initializer_range: Scale | None = None
    init_std: Scale | None = None
    dropout: Dropout | None = None
    dropout_rate: Dropout | None = None
    attention_dropout: Dropout | None = None
    activation_dropout: Dropout | None = None
    hidden_dropout_prob: Dropout | None = None
    attention_probs_dropout_prob: Dropout | None = None
    encoder_layerdrop: Dropout | None = None
    decoder_layerdrop: Dropout | None = None
    relative_attention_num_buckets: Width | None = None
    relative_attention_max_distance: Width | None = None
    scale_embedding: bool | None = None
    tie_word_embeddings: bool | None = None
    is_encoder_decoder: bool | None = None
    bos_token_id: TokenId | None = None
    eos_token_id: TokenId | Annotated[list[TokenId], Field(max_length=10)] | None = None
    pad_token_id: TokenId | None = None
    decoder_start_token_id: TokenId | None = None


class VisionTower(Tower):
    """An image tower; all of those in use take square images."""

    image_size: ImageSize | None = None
    patch_size: PatchSize | None = None


class DualTower(Foreign):
    """Two towers and their joint space."""

    model_type: Text
    text_config: dict[str, Any] = Field(default_factory=dict)
    vision_config: dict[str, Any] = Field(default_factory=dict)
    projection_dim: Width | None = None
    logit_scale_init_value: Scale | None = None
    initializer_factor: Scale | None = None


def read_text_tower(path: Path, model_types: tuple[str, ...] = TEXT_TOWERS) -> dict[str, Any]:
    """Read the configuration of a text tower of open_clip.

    Args:
        path: config.json.
        model_types: the accepted values of `model_type`.

    Returns:
        The known keys. Older versions of transformers wrote many more, such as settings of generation.

    Raises:
        ModelError: The file is damaged, needs custom code, or a setting is not accepted.
    """
    content = _without_code(path)
    _check_type(content, model_types, path)
    return _known(Tower, content, path)


def write_text_tower(config: dict[str, Any], path: Path) -> None:
    """Write what `read_text_tower` reads of a configuration of transformers."""
    path.write_text(json.dumps(_of_tower(Tower, config), indent=2), encoding="utf-8", newline="\n")


def read_dual_tower(path: Path, model_types: tuple[str, ...]) -> dict[str, Any]:
    """Read the configuration of a model with two towers; see `read_text_tower`.

    Args:
        path: config.json.
        model_types: the accepted values of `model_type`.
    """
    content = _without_code(path)
    _check_type(content, model_types, path)
    config = _known(DualTower, content, path)
    for tower, model in (("text_config", Tower), ("vision_config", VisionTower)):
        config[tower] = _known(model, config.get(tower) or {}, path)
    return config


def stage_text_tower(name: str, folder: Path, own: Path | None = None) -> str:
    """Write a validated copy of the configuration of a text tower to a new folder.

    A checkpoint does not decide what is downloaded: if it has no file `own`, only the configurations of text
    towers of open_clip's own architectures are. Others must be in the cache.

    Args:
        name: of the text tower on the hub.
        folder: the folder to write.
        own: the file with this configuration in the checkpoint, if it has one.

    Returns:
        The path of the folder. transformers would look for the name in the working directory first.

    Raises:
        ModelError: The configuration is not there, or not accepted.
    """
    if own is not None or name == TEXT_TOWER:
        path, remedy = own, "The checkpoint must have it; copy or download it again."
    elif name in text_towers():
        path, remedy = Repository(name).find(CONFIG), "Check the network."
    else:
        cached = try_to_load_from_cache(name, CONFIG)
        path = Path(cached) if isinstance(cached, str) else None
        remedy = (
            "No architecture of open_clip has it, so it is not downloaded. If you trust it, download its "
            f"configuration yourself: hf download {name} {CONFIG}"
        )
    if path is None:
        raise ModelError(f"The configuration of the text tower {name} is not there. {remedy}")
    config = read_text_tower(path)
    folder.mkdir()
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    return str(folder)


def _without_code(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if "auto_map" in content:
        raise ModelError(
            f"{path}: the model needs custom code of its repository (auto_map), which is never run. "
            "Use a model whose architecture is part of transformers."
        )
    return content


def _check_type(content: dict[str, Any], accepted: tuple[str, ...], path: Path) -> None:
    if content.get("model_type") not in accepted:
        raise ModelError(
            f"{path}: model_type = {content.get('model_type')!r} cannot be used here; it must be one of "
            f"{', '.join(accepted)}."
        )


def _known(model: type[Foreign], content: dict[str, Any], path: Path) -> dict[str, Any]:
    known = _of_tower(model, content)
    validate(model, known, path)
    return known


def _of_tower(model: type[Foreign], content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key in model.model_fields and value is not None}
