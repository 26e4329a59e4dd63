"""What can be said of a model spec without loading a model: `itr_core.encoders.loading` lists its forms."""

import re
from pathlib import Path

import assets

STARTERS = Path(assets.__file__).parent / "models"
CONFIG_FILE = "open_clip_config.json"
WEIGHT_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")


def split_language(spec: str) -> tuple[str, str | None]:
    """Split the language code from a model spec: 'MODEL#fra_Latn' -> ('MODEL', 'fra_Latn')."""
    match = re.fullmatch(r"(.+)#([a-z]{3}_[A-Z][a-z]{3})", spec)
    return (match[1], match[2]) if match else (spec, None)


def local_weights(spec: str) -> list[Path]:
    """Return the configuration and the weights of a model that a folder or file of this machine holds."""
    scheme, _, method = spec.partition(":")
    name, _, file = spec.partition("/")
    if file.endswith(".safetensors") and not name.startswith(("~", ".")) and Path(file).is_file():
        return [Path(file)]
    folder = STARTERS / method if scheme == "starter" else Path(spec.removeprefix("local-dir:")).expanduser()
    return [folder / each for each in (CONFIG_FILE, *WEIGHT_FILES) if (folder / each).is_file()]
