"""What `open_clip_config.json` of a checkpoint may contain, with the bounds of its numbers."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import open_clip
import timm
from pydantic import AfterValidator, ConfigDict, Field

from itr_core.encoders.foreign_json import Foreign, read_json, validate

Width = Annotated[int, Field(ge=1, le=16_384)]
Heads = Annotated[int, Field(ge=1, le=256)]
Layers = Annotated[int, Field(ge=1, le=256)]
Ratio = Annotated[float, Field(gt=0, le=32)]
Rate = Annotated[float, Field(ge=0, lt=1)]
ImageSize = Annotated[int, Field(ge=1, le=2_048)]
PatchSize = Annotated[int, Field(ge=1, le=256)]
ContextLength = Annotated[int, Field(ge=1, le=4_096)]
VocabularySize = Annotated[int, Field(ge=1, le=2_000_000)]
TokenId = Annotated[int, Field(ge=0, le=2_000_000)]
Scale = Annotated[float, Field(ge=-1_000, le=1_000)]
Pair = Field(min_length=2, max_length=2)
Triple = Field(min_length=3, max_length=3)
Text = Annotated[str, Field(max_length=200)]


def _of_timm(name: str) -> str:
    if not timm.is_model(name):  # timm would download 'hf-hub:...' and open 'local-dir:...'
        raise ValueError("no architecture of the installed timm")
    return name


@cache
def text_towers() -> frozenset[str]:
    """Return the names of the Hugging Face text towers that open_clip's own architectures use."""
    configs = map(open_clip.get_model_config, open_clip.list_models())
    return frozenset(filter(None, (config["text_cfg"].get("hf_model_name") for config in configs)))


class _Activation(Foreign):
    approximate: Literal["none", "tanh"] = "none"


class _Norm(Foreign):
    eps: Annotated[float, Field(gt=0, le=1)] = 1e-5


class _Blocks(Foreign):
    """Settings that the transformers of both towers share."""

    mlp_ratio: Ratio = 4.0
    ls_init_value: Scale | None = None
    final_ln_after_pool: bool = False
    output_tokens: bool = False
    act_kwargs: _Activation | None = None
    norm_kwargs: _Norm | None = None
    block_type: Literal["default", "custom"] | None = None
    qk_norm: bool = False
    scaled_cosine_attn: bool = False
    scale_heads: bool = False
    scale_attn_inner: bool = False
    scale_attn: bool = False
    scale_fc: bool = False


class _Vision(_Blocks):
    layers: Layers | Annotated[list[Layers], Field(min_length=4, max_length=4)] = 12
    width: Width = 768
    head_width: Width = 64
    patch_size: PatchSize | Annotated[list[PatchSize], Pair] | None = 16
    image_size: ImageSize | Annotated[list[ImageSize], Pair] = 224
    patch_dropout: Rate = 0.0
    attentional_pool: bool | Literal["parallel", "cascade"] = False
    attn_pooler_queries: Width = 256
    attn_pooler_heads: Heads = 8
    no_ln_pre: bool = False
    pos_embed_type: Literal["learnable", "sin_cos_2d"] = "learnable"
    pool_type: Literal["tok", "avg", "none"] = "tok"
    timm_model_name: Annotated[Text, AfterValidator(_of_timm)] | None = None
    timm_model_pretrained: bool = False  # open_clip replaces it by an argument, which is False here
    timm_pool: (
        Literal["", "avg", "max", "avgmax", "catavgmax", "token", "map", "abs_attn", "rot_attn"] | None
    ) = "avg"
    timm_proj: Literal["", "linear", "mlp", "none"] | None = "linear"
    timm_proj_bias: bool = False
    timm_drop: Rate = 0.0
    timm_drop_path: Rate | None = None


class _TokenizerOptions(Foreign):
    clean: Literal["whitespace", "lower", "canonicalize"] = "whitespace"
    strip_sep_token: bool = False
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(_[A-Za-z]{2,4})?$")] | None = None


class _TextBase(_Blocks):
    context_length: ContextLength = 77
    vocab_size: VocabularySize = 49_408
    hf_tokenizer_name: Text | None = None  # only whether it is set matters: the files are the checkpoint's
    tokenizer_mode: Literal["", "clips"] | None = None
    tokenizer_kwargs: _TokenizerOptions | None = None
    width: Width = 512
    heads: Heads = 8
    layers: Layers = 12
    embed_cls: bool = False
    pad_id: TokenId = 0
    eos_id: TokenId = 2
    no_causal_mask: bool = False
    pool_type: Literal["argmax", "eos", "first", "last", "none"] = "argmax"
    proj_bias: bool = False
    proj_type: Literal["linear", "none"] | None = "linear"
    hf_model_name: Annotated[str, Field(pattern=r"^[\w-][\w.-]{0,99}(/[\w.-]{1,100})?$")] | None = None
    hf_model_pretrained: bool = False  # as timm_model_pretrained
    hf_proj_type: Literal["linear", "mlp"] | None = "mlp"
    hf_pooler_type: (
        Literal["mean_pooler", "max_pooler", "cls_pooler", "cls_last_hidden_state_pooler"] | None
    ) = "mean_pooler"


class _Multimodal(_TextBase):
    dim_head: Width = 64
    n_queries: Width = 256
    attn_pooler_heads: Heads = 8


class _Model(Foreign):
    embed_dim: Width
    vision_cfg: _Vision
    text_cfg: _TextBase
    multimodal_cfg: _Multimodal | None = None
    custom_text: bool = False
    quick_gelu: bool = False
    init_logit_scale: Scale = 2.6593
    init_logit_bias: Scale | None = None
    nonscalar_logit_scale: bool = False


class _Preprocess(Foreign):
    model_config = ConfigDict(extra="ignore")  # as open_clip does

    size: ImageSize | Annotated[list[ImageSize], Pair] = 224
    mode: Literal["RGB"] = "RGB"
    mean: Annotated[list[Annotated[float, Field(ge=-10, le=10)]], Triple] | None = None
    std: Annotated[list[Annotated[float, Field(gt=0, le=10)]], Triple] | None = None
    interpolation: Literal["bicubic", "bilinear", "nearest", "random"] = "bicubic"
    resize_mode: Literal["shortest", "longest", "squash"] = "shortest"
    fill_color: Annotated[int, Field(ge=0, le=255)] = 0


class _File(Foreign):
    model_config = ConfigDict(extra="ignore")  # open_clip reads these two keys only

    model_cfg: _Model
    preprocess_cfg: _Preprocess | None = None


def read_config(path: Path) -> dict[str, Any]:
    """Read `open_clip_config.json` of a checkpoint.

    Returns:
        `model_cfg` as it is in the file, and the known keys of `preprocess_cfg`.

    Raises:
        ModelError: The file is damaged, or names the first setting that is not accepted.
    """
    content = read_json(path)
    validate(_File, content, path)
    preprocess = content.get("preprocess_cfg") or {}
    known = {key: preprocess[key] for key in _Preprocess.model_fields if key in preprocess}
    return {"model_cfg": content["model_cfg"], "preprocess_cfg": known}
