"""Model specs: strings that name an open_clip model and where its weights come from.

    starter:METHOD              a model shipped with Pairscope
    NAME/PRETRAINED             an open_clip architecture with the weights of a tag or of a .safetensors file
    NAME/none                   an open_clip architecture with random weights
    hf-hub:ORG/REPO[@REVISION]  an open_clip repository on the Hugging Face hub; by default its newest commit
    transformers:ORG/REPO[@REVISION], transformers:PATH
                                a model of transformers with two towers, see `transformers_model`
    sentence-transformers:...   the same for sentence-transformers, see `sentence_model`
    towers:timm:NAME+hf:TEXT    pretrained towers of timm and transformers with new projections, see `towers`
    local-dir:PATH, or PATH     a checkpoint folder in open_clip's layout
    ...#LANGUAGE                for NLLB, any of these with the language of the texts: ...#fra_Latn

Folders, files and hub repositories must contain safetensors: pickled weights can run code and are refused.
Their configurations are validated before open_clip reads them, so that they can neither run code, nor name
further downloads, nor take any amount of memory. The weights of some open_clip tags exist as pickles only;
open_clip reads these with `weights_only=True`.
"""

import copy
import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.constants import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    INCEPTION_MEAN,
    INCEPTION_STD,
    OPENAI_DATASET_MEAN,
    OPENAI_DATASET_STD,
)
from safetensors.torch import load_file
from transformers import dynamic_module_utils

from itr_core.encoders import features_tower  # noqa: F401  # registers towers that configurations name
from itr_core.encoders.checksums import checked_files
from itr_core.encoders.heads import HEADS_FILE, Heads
from itr_core.encoders.hub import Repository
from itr_core.encoders.model_files import ModelFiles, require_weights
from itr_core.encoders.model_specs import CONFIG_FILE, STARTERS, WEIGHT_FILES
from itr_core.encoders.open_clip_config import read_config
from itr_core.encoders.tokenizer import set_language
from itr_core.encoders.tokenizer_files import TOKENIZER_FILES, stage_tokenizer
from itr_core.encoders.transformers_config import TEXT_TOWER, stage_text_tower
from itr_core.errors import ModelError, did_you_mean, reason_of

WORDS_FILE = "words.txt"
_OPTIONAL_FILES = (WORDS_FILE, HEADS_FILE, TEXT_TOWER, *TOKENIZER_FILES)
PIXEL_NORMS = {
    "clip": (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD),
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "inception": (INCEPTION_MEAN, INCEPTION_STD),
}
RESIZE_MODES = ("shortest", "squash")
_ENCODE_ONLY = ("transformers", "sentence-transformers")

# Before it refuses to run code, transformers would ask for permission on the terminal, and wait.
dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
open_clip.add_model_config(Path(__file__).parent / "model_configs")


@dataclass(frozen=True)
class LoadedModel:
    """The model that a spec names, and what comes with it."""

    model: Any
    tokenizer: Any
    config: dict[str, Any]
    """`model_cfg` and `preprocess_cfg`, as in open_clip_config.json."""
    words: frozenset[str]
    """The words of the training captions; empty if the model does not list them."""
    spec: str | None = None
    """The spec with the commit of a hub repository; None if the spec was complete."""
    encoder_type: Callable[[str, "LoadedModel"], Any] | None = None
    """A subclass of `DualEncoder` that this model needs."""
    heads: Heads = field(default_factory=Heads)
    """What the method of a checkpoint adds to retrieval."""


def require_trainable(spec: str) -> None:
    """Refuse a model that can only encode, before it is loaded.

    Raises:
        ModelError: The model is one of transformers or sentence-transformers.
    """
    if spec.partition(":")[0] in _ENCODE_ONLY:
        raise ModelError(
            f"{spec} can be used for search and evaluation, not for training. Train a model of open_clip, "
            "such as ViT-B-32/openai or hf-hub:ORG/REPO; checkpoints are written in its layout."
        )


def open_model(
    spec: str,
    *,
    tokenizer: Any = None,
    image_weights: Path | None = None,
    pixel_norm: str = "clip",
    resize: str = "shortest",
    seed: int = 0,
) -> LoadedModel:
    """Build the model that a spec names, in float32 on the CPU; for the options see `load_encoder`.

    Raises:
        ModelError: The spec is unknown, or the model cannot be loaded. The message names a remedy.
    """
    schemes = {
        "starter": _starter,
        "local-dir": _folder,
        "hf-hub": _hub,
        "transformers": _transformers,
        "sentence-transformers": _sentence_transformers,
    }
    scheme, colon, rest = spec.partition(":")
    if colon and scheme in schemes:
        return schemes[scheme](rest)
    if colon and scheme == "towers":
        return _towers(rest, seed)
    folder = Path(spec).expanduser()
    if (folder / CONFIG_FILE).is_file() or (folder / "config.json").is_file():
        return _folder(spec)
    name, slash, weights = spec.partition("/")
    if name not in open_clip.list_models():
        raise ModelError(
            f"No model {spec!r}: it is neither a checkpoint folder nor one of starter:METHOD, "
            "NAME/PRETRAINED, hf-hub:ORG/REPO, local-dir:PATH, transformers:ORG/REPO, "
            "sentence-transformers:ORG/REPO, towers:timm:NAME+hf:ORG/REPO."
            f"{_nearest(name, open_clip.list_models())}"
        )
    if not slash:
        tags = open_clip.list_pretrained_tags_by_model(name)
        raise ModelError(f"Model {name!r} needs weights: {name}/none (random), or {name}/ and one of {tags}.")
    if weights == "none":
        return _fresh(name, tokenizer, image_weights, pixel_norm, resize, seed)
    return _file(name, Path(weights)) if weights.endswith(".safetensors") else _tag(name, weights)


def starters() -> list[str]:
    """Return the specs of the models that are shipped with Pairscope, in alphabetical order."""
    return sorted(f"starter:{path.parent.name}" for path in STARTERS.glob(f"*/{CONFIG_FILE}"))


def _starter(method: str) -> LoadedModel:
    known = [spec.removeprefix("starter:") for spec in starters()]
    if method not in known:  # a path such as '../..' must not name a folder elsewhere
        raise ModelError(f"No starter model {method!r} is shipped.{did_you_mean(method, known)}")
    return _folder(str(STARTERS / method))


def _folder(path: str) -> LoadedModel:
    folder = Path(path).expanduser()
    if not (folder / CONFIG_FILE).is_file():
        hint = f" Perhaps you mean transformers:{path}." if (folder / "config.json").is_file() else ""
        raise ModelError(f"{path!r} is no checkpoint folder: it has no {CONFIG_FILE}.{hint}")
    weights = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if weights is None:
        raise ModelError(
            f"{path!r} has no {WEIGHT_FILES[0]}. Pickled weights (.bin, .pt, .pth) are never read, "
            "because they can run code; if you trust them, convert them with safetensors.torch.save_file."
        )
    files = {name: folder / name for name in _OPTIONAL_FILES if (folder / name).is_file()}
    remedy = "the folder is damaged or was written by another version of open_clip"
    with checked_files(folder), _as_model_error(f"local-dir:{folder}", remedy):
        return _checkpoint(folder / CONFIG_FILE, weights, files)


def _hub(name: str) -> LoadedModel:
    repository = Repository(name)
    with _as_model_error(f"hf-hub:{name}", "ask its authors, or convert it and use local-dir:PATH"):
        config = repository.find(CONFIG_FILE)
        if config is None:
            raise ModelError(
                f"The hub repository {name} has no {CONFIG_FILE}; check name and network, or write "
                f"transformers:{name} for a model of transformers."
            )
        weights = repository.weights(WEIGHT_FILES)
        if weights is None:
            raise ModelError(
                f"hf-hub:{name} has no safetensors. Pickled weights can run code; ask its authors for "
                f"{WEIGHT_FILES[0]}."
            )
        found = {each: repository.find(each) for each in (HEADS_FILE, TEXT_TOWER, *TOKENIZER_FILES)}
        files = {each: path for each, path in found.items() if path is not None}
        return replace(_checkpoint(config, weights, files), spec=f"hf-hub:{repository}")


def _transformers(source: str) -> LoadedModel:
    from itr_core.encoders.transformers_model import open_transformers  # these modules import slowly

    with _as_model_error(f"transformers:{source}", "the files are damaged or of another kind of model"):
        return open_transformers(ModelFiles(source))


def _sentence_transformers(source: str) -> LoadedModel:
    from itr_core.encoders.sentence_model import open_sentence_model

    remedy = "the files are damaged or of another kind of model"
    with _as_model_error(f"sentence-transformers:{source}", remedy):
        return open_sentence_model(source)


def _towers(rest: str, seed: int) -> LoadedModel:
    from itr_core.encoders.towers import open_towers

    with _as_model_error(f"towers:{rest}", "a file is damaged or of another kind of model"):
        return open_towers(rest, seed=seed)


def _checkpoint(config_file: Path, weights: Path, files: Mapping[str, Path]) -> LoadedModel:
    """Load a checkpoint of others, whose files are validated before open_clip sees them."""
    config = read_config(config_file)
    with tempfile.TemporaryDirectory(prefix="pairscope-model-") as folder:
        _stage(config, files, Path(folder))
        spec = f"local-dir:{folder}"
        with torch.device("meta"):
            described = sum(weight.numel() for weight in _build(spec, device="meta").parameters())
        require_weights(described, [weights], config_file)
        model = _build(spec)
        open_clip.load_checkpoint(model, str(weights))
        tokenizer = open_clip.get_tokenizer(spec)
        if language := (config["model_cfg"]["text_cfg"].get("tokenizer_kwargs") or {}).get("language"):
            set_language(tokenizer, language)
    words = files[WORDS_FILE].read_text(encoding="utf-8").splitlines() if WORDS_FILE in files else ()
    loaded = _loaded(model, tokenizer, config["model_cfg"], words)
    if HEADS_FILE in files:
        loaded = replace(loaded, heads=Heads.read(files[HEADS_FILE], config["model_cfg"]["embed_dim"]))
    return loaded


def _stage(config: Mapping[str, Any], files: Mapping[str, Path], folder: Path) -> None:
    """Write a folder with the validated files, which names nothing outside of it."""
    config = copy.deepcopy(dict(config))
    text = config["model_cfg"]["text_cfg"]
    if text.get("hf_model_name"):
        own = files.get(TEXT_TOWER)
        text["hf_model_name"] = stage_text_tower(text["hf_model_name"], folder / "text_tower", own)
    if text.get("hf_tokenizer_name"):
        stage_tokenizer(files, folder)
    (folder / CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")


def _tag(name: str, tag: str) -> LoadedModel:
    known = open_clip.list_pretrained_tags_by_model(name)
    if tag not in known:
        raise ModelError(
            f"Model {name!r} has no weights {tag!r}.{_nearest(tag, [*known, 'none'])} "
            f"A local file must exist and end in .safetensors."
        )
    # Some tags were trained with QuickGELU, which their architecture does not set; open_clip only warns.
    quick_gelu = bool(open_clip.get_pretrained_cfg(name, tag).get("quick_gelu"))
    with _as_model_error(f"{name}/{tag}", "the weights are downloaded on first use, which needs a network"):
        model = _build(name, pretrained=tag, load_weights=True, force_quick_gelu=quick_gelu)
        config = open_clip.get_model_config(name)
        return _loaded(model, _tokenizer(name), config | ({"quick_gelu": True} if quick_gelu else {}))


def _file(name: str, weights: Path) -> LoadedModel:
    if not weights.is_file():
        raise ModelError(f"No weights file {str(weights)!r}.")
    with _as_model_error(f"{name}/{weights}", f"the file must contain the weights of a {name}"):
        model = _build(name)
        open_clip.load_checkpoint(model, str(weights))
        return _loaded(model, _tokenizer(name), open_clip.get_model_config(name))


def _fresh(
    name: str, tokenizer: Any, image_weights: Path | None, pixel_norm: str, resize: str, seed: int
) -> LoadedModel:
    for value, known in ((pixel_norm, [*PIXEL_NORMS]), (resize, [*RESIZE_MODES])):
        if value not in known:
            raise ModelError(f"Unknown preprocessing option {value!r}.{did_you_mean(value, known)}")
    mean, std = PIXEL_NORMS[pixel_norm]
    pixels = {"mean": mean, "std": std, "resize_mode": resize}
    config = open_clip.get_model_config(name)
    if tokenizer is not None:
        config["text_cfg"] |= {
            "vocab_size": len(tokenizer.tokenizer),
            "context_length": tokenizer.context_length,
            "hf_tokenizer_name": "pairscope",  # with any name, open_clip reads the tokenizer from the folder
        }
    remedy = "Hugging Face text towers and tokenizers need a network; image weights must match the tower"
    with _as_model_error(f"{name}/none", remedy), torch.random.fork_rng([]):
        torch.manual_seed(seed)
        text = config["text_cfg"] | {"hf_model_pretrained": False}  # open_clip's default is True
        model = _build(name, text_cfg=text, force_preprocess_cfg=pixels)
        if image_weights is not None:
            getattr(model.visual, "trunk", model.visual).load_state_dict(load_file(image_weights))
        return _loaded(model, tokenizer or _tokenizer(name), config)


def _build(name: str, *, load_weights: bool = False, **options: Any) -> Any:
    return open_clip.create_model(
        name, load_weights=load_weights, pretrained_text=False, weights_only=True, **options
    )


def _tokenizer(name: str) -> Any:
    """Load the tokenizer of an architecture of open_clip; its repository on the hub may not run code."""
    by_transformers = open_clip.get_model_config(name)["text_cfg"].get("hf_tokenizer_name")
    return open_clip.get_tokenizer(name, **({"trust_remote_code": False} if by_transformers else {}))


def _loaded(
    model: Any, tokenizer: Any, model_config: dict[str, Any], words: Iterable[str] = ()
) -> LoadedModel:
    preprocess = {key: value for key, value in model.visual.preprocess_cfg.items() if key != "size"}
    config = {"model_cfg": model_config, "preprocess_cfg": preprocess}
    return LoadedModel(model, tokenizer, config, frozenset(words))


@contextmanager
def _as_model_error(spec: str, remedy: str) -> Iterator[None]:
    """Convert any exception of open_clip to a `ModelError`, and suppress what it logs before it raises."""
    disabled = logging.root.manager.disable  # what the program has chosen
    logging.disable(max(disabled, logging.ERROR))
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"Cannot load the model {spec!r}: {reason_of(error)} ({remedy}).") from error
    finally:
        logging.disable(disabled)


def _nearest(name: str, known: list[str]) -> str:
    hint = did_you_mean(name, known)
    return hint if "Did you mean" in hint or len(known) < 20 else ""
