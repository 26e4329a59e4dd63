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
from safetensors import SafetensorError
from safetensors.torch import load_file

from itr_core.encoders.hub import Repository
from itr_core.encoders.loading import PIXEL_NORMS, LoadedModel
from itr_core.encoders.model_files import WEIGHTS, read_weights, require_weights
from itr_core.encoders.model_specs import CONFIG_FILE
from itr_core.encoders.open_clip_config import ImageSize, Rate, Width
from itr_core.encoders.text_encoder import TextEncoder
from itr_core.encoders.tokenizer_files import stage_tokenizer
from itr_core.encoders.transformers_config import CONFIG, TEXT_TOWER
from itr_core.errors import ModelError, did_you_mean

FORM = "towers:timm:NAME[@FILE.safetensors]+hf:FOLDER-or-ORG/REPO[,OPTION=VALUE]"
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
    require_image_model(name)
    pretrained = timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
    vision = _vision(name, pretrained, options)
    image_file = Path(match["file"]).expanduser() if match["file"] else _weights_of_timm(name, pretrained)
    if not image_file.is_file():
        raise ModelError(
            f"No weights file {str(image_file)!r} for the image tower {name}; write "
            f"timm:{name}@FILE.safetensors with a file that exists, or timm:{name} for timm's own weights."
        )
    text = TextEncoder(match["text"])
    config = {
        "model_cfg": {
            "embed_dim": options.dim,
            "vision_cfg": vision,
            "text_cfg": text.settings() | {"hf_proj_type": options.text},
        },
        "preprocess_cfg": _preprocessing(pretrained, options),
    }
    model, tokenizer = _build(config, text, seed)
    load_image_weights(model.visual.trunk, image_file, name)
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


def _build(config: dict[str, Any], text: TextEncoder, seed: int) -> tuple[Any, Any]:
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


def require_image_model(name: str) -> None:
    """Raise ModelError if timm has no architecture of this name; a repository of the hub is not looked up."""
    if ":" not in name and not timm.is_model(name):
        raise ModelError(f"timm has no image model {name!r}.{did_you_mean(name, timm.list_models())}")


def load_image_weights(trunk: Any, path: Path, name: str) -> None:
    """Load weights from a safetensors file into an image model of timm.

    Args:
        trunk: the model, without a classifier.
        path: the file; further weights in it are left out, because files usually include a classifier.
        name: name of the architecture, for the error message.

    Raises:
        ModelError: the file cannot be read, or a weight is missing or has another shape.
    """
    try:
        given = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"Cannot read the weights {path} of timm:{name} ({error}). Copy or download the file again."
        ) from error
    own = trunk.state_dict()
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
    trunk.load_state_dict({key: given[key] for key in own if key in given}, strict=False)


def _load_text_weights(tower: Any, text: TextEncoder) -> None:
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
