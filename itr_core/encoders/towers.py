"""Towers of one's own: an image tower of timm and a text encoder of transformers, as one open_clip model.

    towers:timm:NAME[@FILE.safetensors]+hf:TEXT[,OPTION=VALUE]...

NAME is an architecture of timm; without FILE, its weights come from timm's repository on the hub. TEXT is a
text encoder of transformers or sentence-transformers: a folder, or ORG/REPO[@REVISION] on the hub. New
projections with random weights map the output of both towers into the joint space. The options:

    dim=512                    width of the joint space
    image=linear, text=linear  the two projections: linear, or mlp for one hidden layer
    dropout=0                  dropout in the image projection while training
    size=SIDE                  side of the images in pixels; by default that of timm's weights
    pixels=NAME                mean and standard deviation of pixels: clip, imagenet, or inception for
                               [-1, 1]; by default those of timm's weights
    resize=shortest            shortest (with a centre crop), or squash
"""

import json
import re
import tempfile
from pathlib import Path
from typing import Any, Literal

import open_clip
import timm
import torch
import transformers
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load_file

from itr_core.encoders.foreign_json import Foreign, read_json, read_json_list, validate
from itr_core.encoders.hub import Repository
from itr_core.encoders.loading import CONFIG_FILE, PIXEL_NORMS, LoadedModel
from itr_core.encoders.model_files import WEIGHTS, ModelFiles, read_weights, require_weights
from itr_core.encoders.open_clip_config import ContextLength, ImageSize, Rate, Width
from itr_core.encoders.sentence_model import MODULES, TRANSFORMER, Module
from itr_core.encoders.tokenizer_files import TOKENIZER_FILES, stage_tokenizer
from itr_core.encoders.transformers_config import (
    CONFIG,
    ENCODERS,
    TEXT_TOWER,
    read_text_tower,
)
from itr_core.errors import ModelError, did_you_mean

FORM = "towers:timm:NAME[@FILE.safetensors]+hf:FOLDER-or-ORG/REPO[,OPTION=VALUE]"
POOLERS = {"mean": "mean_pooler", "cls": "cls_last_hidden_state_pooler"}
_SPEC = re.compile(
    r"timm:(?P<image>[\w.-]+)(?:@(?P<file>.+?))?\+hf:(?P<text>.+?)(?P<options>(?:,\w+=[^,]*)*)", re.DOTALL
)


class _Options(BaseModel):
    """The options of a spec; a field's name and bounds are in the error message."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dim: Width = 512
    image: Literal["linear", "mlp"] = "linear"
    text: Literal["linear", "mlp"] = "linear"
    dropout: Rate = 0.0
    size: ImageSize | None = None
    pixels: Literal["clip", "imagenet", "inception"] | None = None
    resize: Literal["shortest", "squash"] = "shortest"


class _Pooling(Foreign):
    model_config = ConfigDict(extra="ignore")

    pooling_mode: str | list[str] | None = None
    pooling_mode_cls_token: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_max_tokens: bool = False
    pooling_mode_mean_sqrt_len_tokens: bool = False
    pooling_mode_weightedmean_tokens: bool = False
    pooling_mode_lasttoken: bool = False

    def modes(self) -> list[str]:
        """Return the names of the kinds of pooling; older versions wrote a flag for each."""
        if self.pooling_mode is not None:
            return [self.pooling_mode] if isinstance(self.pooling_mode, str) else self.pooling_mode
        flags = [name for name in type(self).model_fields if name != "pooling_mode" and getattr(self, name)]
        return [
            name.removeprefix("pooling_mode_").removesuffix("_token").removesuffix("_tokens")
            for name in flags
        ]


class _Lengths(Foreign):
    model_config = ConfigDict(extra="ignore")

    max_seq_length: ContextLength | None = None
    do_lower_case: bool = False


class _TextEncoder:
    """The files of a text encoder and what they say about its use."""

    def __init__(self, source: str) -> None:
        self.source = ModelFiles(source)
        self.files, self.pooler = self._parts()
        self.config_file = self.files.file(CONFIG)
        self.config = read_text_tower(self.config_file, ENCODERS)
        lengths = self.files.find(TRANSFORMER)
        self.lengths = _Lengths() if lengths is None else validate(_Lengths, read_json(lengths), lengths)
        self.tokenizer = {name: path for name in TOKENIZER_FILES if (path := self.files.find(name))}

    def _parts(self) -> tuple[ModelFiles, str]:
        """Return the files of the transformer, and open_clip's name of the pooling that follows it.

        Later modules of sentence-transformers are left out: the new projection takes their place.
        """
        path = self.source.find(MODULES)
        if path is None:
            return self.source, POOLERS["mean"]
        modules = [validate(Module, module, path) for module in read_json_list(path)]
        kinds = [module.kind for module in modules]
        if kinds[:2] != ["Transformer", "Pooling"]:
            raise ModelError(
                f"{path}: the modules are {', '.join(kinds) or 'none'}. A text tower needs a Transformer "
                "followed by Pooling; choose another sentence encoder."
            )
        pooling = self.source.inside(modules[1].path).file(CONFIG)
        modes = validate(_Pooling, read_json(pooling), pooling).modes()
        if len(modes) != 1 or modes[0] not in POOLERS:
            raise ModelError(
                f"{pooling}: pooling by {' and '.join(modes) or 'nothing'} cannot be used here; choose a "
                f"sentence encoder with {' or '.join(POOLERS)} pooling."
            )
        return self.source.inside(modules[0].path), POOLERS[modes[0]]

    @property
    def name(self) -> str:
        """What the configuration of a checkpoint calls it: the repository, or the file in the checkpoint."""
        found = str(self.source)
        return TEXT_TOWER if Path(found).expanduser().is_dir() else found.partition("@")[0]

    def settings(self) -> dict[str, Any]:
        """Return open_clip's settings of the text tower, without its projection."""
        config = transformers.AutoConfig.for_model(**self.config)
        # Positions of RoBERTa start after the id of the padding.
        reserved = 0 if config.model_type == "bert" else config.pad_token_id + 1
        length = config.max_position_embeddings - reserved
        lower = {"tokenizer_kwargs": {"clean": "lower"}} if self.lengths.do_lower_case else {}
        return {
            "hf_model_name": self.name,
            "hf_tokenizer_name": self.name,
            "hf_pooler_type": self.pooler,
            "context_length": min(length, self.lengths.max_seq_length or length),
            "vocab_size": config.vocab_size,
            **lower,
        }


def open_towers(rest: str, *, seed: int) -> LoadedModel:
    """Join two towers with new projections, in float32 on the CPU.

    Args:
        rest: the spec after 'towers:'.
        seed: of the random weights of the projections.

    Raises:
        ModelError: The spec is wrong, a file is missing or damaged, or weights do not fit their tower.
    """
    match = _SPEC.fullmatch(rest)
    if match is None:
        raise ModelError(f"'towers:{rest}' names no two towers; write {FORM}.")
    name = match["image"]
    options = _options(match["options"])
    if not timm.is_model(name):
        raise ModelError(f"timm has no image model {name!r}.{did_you_mean(name, timm.list_models())}")
    pretrained = timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
    vision = _vision(name, pretrained, options)
    image_file = Path(match["file"]).expanduser() if match["file"] else _weights_of_timm(name, pretrained)
    if not image_file.is_file():
        raise ModelError(
            f"No weights file {str(image_file)!r} for the image tower {name}; write "
            f"timm:{name}@FILE.safetensors with a file that exists, or timm:{name} for timm's own weights."
        )
    text = _TextEncoder(match["text"])
    config = {
        "model_cfg": {
            "embed_dim": options.dim,
            "vision_cfg": vision,
            "text_cfg": text.settings() | {"hf_proj_type": options.text},
        },
        "preprocess_cfg": _preprocessing(pretrained, options),
    }
    model, tokenizer = _build(config, text, seed)
    _load_image_weights(model.visual.trunk, image_file, name)
    _load_text_weights(model.text, text)
    spec = (
        f"towers:timm:{name}{'@' + match['file'] if match['file'] else ''}+hf:{text.source}{match['options']}"
    )
    return LoadedModel(model, tokenizer, config, frozenset(), spec)


def _options(text: str) -> _Options:
    given = dict(each.split("=", 1) for each in text.split(",")[1:])
    try:
        return _Options.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = str(first["loc"][0])
        if key not in _Options.model_fields:
            raise ModelError(
                f"towers: has no option {key!r}.{did_you_mean(key, _Options.model_fields)}"
            ) from None
        raise ModelError(f"towers: {key}={given[key]} is refused: {first['msg']}.") from None


def _vision(name: str, pretrained: Any, options: _Options) -> dict[str, Any]:
    size = pretrained.input_size[-1]
    if pretrained.fixed_input_size and options.size not in (None, size):
        raise ModelError(
            f"size={options.size} does not fit {name}, which takes {size} pixels; leave size out."
        )
    return {
        "timm_model_name": name,
        "timm_model_pretrained": False,
        "timm_pool": "",  # that of the architecture
        "timm_proj": options.image,
        "timm_proj_bias": True,
        "timm_drop": options.dropout,
        "image_size": options.size or size,
    }


def _preprocessing(pretrained: Any, options: _Options) -> dict[str, Any]:
    mean, std = PIXEL_NORMS[options.pixels] if options.pixels else (pretrained.mean, pretrained.std)
    known = pretrained.interpolation in ("bicubic", "bilinear")
    return {
        "mode": "RGB",
        "mean": list(mean),
        "std": list(std),
        "interpolation": pretrained.interpolation if known else "bicubic",
        "resize_mode": options.resize,
        "fill_color": 0,
    }


def _build(config: dict[str, Any], text: _TextEncoder, seed: int) -> tuple[Any, Any]:
    """Let open_clip build the model with random weights, and the tokenizer, from validated files only."""
    with tempfile.TemporaryDirectory(prefix="pairscope-towers-") as name:
        folder = Path(name)
        stage_tokenizer(text.tokenizer, folder)
        (folder / TEXT_TOWER).write_text(json.dumps(text.config), encoding="utf-8")
        staged = json.loads(json.dumps(config))
        staged["model_cfg"]["text_cfg"]["hf_model_name"] = str(folder / TEXT_TOWER)
        (folder / CONFIG_FILE).write_text(json.dumps(staged), encoding="utf-8")
        spec = f"local-dir:{folder}"
        with torch.device("meta"):
            described = _create(spec, device="meta").text.transformer
        weights = sum(weight.numel() for weight in described.parameters())
        require_weights(weights, text.files.weights(), text.config_file)
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            model = _create(spec)
        tokenizer = open_clip.get_tokenizer(spec)
    tokens, room = len(tokenizer.tokenizer), model.text.config.vocab_size
    if tokens > room:
        raise ModelError(
            f"The tokenizer of {text.source} has {tokens} tokens, but its model only {room}: they do not "
            "belong together. Copy or download both again."
        )
    return model, tokenizer


def _create(spec: str, **options: Any) -> Any:
    return open_clip.create_model(spec, load_weights=False, pretrained_text=False, **options)


def _weights_of_timm(name: str, pretrained: Any) -> Path:
    """Download the weights of an architecture from timm's repository, or find them in the cache."""
    repository = pretrained.hf_hub_id
    found = Repository(repository).weights([WEIGHTS]) if repository else None
    if found is None:
        raise ModelError(
            f"There are no weights for timm:{name} in safetensors on the hub or in its cache; check the "
            f"network, or write timm:{name}@FILE.safetensors."
        )
    return found


def _load_image_weights(trunk: Any, path: Path, name: str) -> None:
    given, own = load_file(path), trunk.state_dict()
    for key, weight in own.items():
        if key not in given and not key.endswith("num_batches_tracked"):
            raise ModelError(
                f"{path} does not fit timm:{name}: it has no {key!r}. Name the architecture that the file is "
                "for."
            )
        if key in given and given[key].shape != weight.shape:
            raise ModelError(
                f"{path} does not fit timm:{name}: {key} has the shape {tuple(given[key].shape)}, the tower "
                f"needs {tuple(weight.shape)}. Name the architecture that the file is for."
            )
    # Further weights are left out: files usually include a classifier.
    trunk.load_state_dict({key: given[key] for key in own if key in given}, strict=False)


def _load_text_weights(tower: Any, text: _TextEncoder) -> None:
    transformers.utils.logging.disable_progress_bar()
    tower.transformer, report = type(tower.transformer).from_pretrained(
        None,
        config=tower.config,
        state_dict=read_weights(text.files.weights()),
        add_pooling_layer=False,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are reported below
    )
    lost = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
    if lost:  # transformers leaves them random
        raise ModelError(
            f"The weights of {text.source} do not fit its {CONFIG}: {len(lost)} are missing or of another "
            f"shape, such as {lost[0]}. Copy or download it again."
        )
