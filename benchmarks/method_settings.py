"""The settings in which the methods are compared: data, start, budget, and what is held out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import flickr8k_towers
from flickr8k import hold_out, settings_of

Setting = Literal["picturebook", "pixels", "features"]
Split = Literal["validation", "reported"]

# As the starter `small`, with a smaller network and batch: all rows take hours on two cores, not days.
PICTUREBOOK: dict[str, Any] = {
    "source": "picturebook:train@20000",
    "model": "picturebook-resnet-tiny/none",
    "vocab_size": 1024,
    "batch_size": 64,
    "captions_per_image": 2,
    "max_steps": 1500,
    "lr": 2e-3,
    "warmup": 0.04,
    "crop": 0.06,
    "precision": "fp32",
}
# The learning rates of both pretrained towers are the defaults of `towers:`.
PIXELS: dict[str, Any] = {
    "batch_size": 128,
    "captions_per_image": 2,
    "epochs": 12,
    "ema_decay": 0.99,
    "precision": "bf16",
    **flickr8k_towers.PHOTOS,
}


@dataclass(frozen=True)
class Source:
    """What a model is measured on.

    Attributes:
        pairs: spec of `load_pairs`.
        features: spec of stored image features, or None to compute them.
    """

    pairs: str
    features: str | None = None


@dataclass(frozen=True)
class Conditions:
    """One setting.

    Attributes:
        train: arguments of `train` that all rows share. There is no validation source: the last weights are
            measured, so that no split chooses a step.
        measured: the data that chooses options, and the data whose figures are reported.
    """

    train: dict[str, Any]
    measured: dict[Split, Source]


def conditions(setting: Setting, data: Path, folder: Path, *, write: bool = False) -> Conditions:
    """Return the conditions of a setting.

    Args:
        setting: picturebook trains a small network on drawn pictures from random weights; pixels trains two
            pretrained towers on Flickr8k photos; features trains a text tower and a projection above stored
            features of these photos.
        data: for pixels and features, the folder with flickr8k/, mobilenetv2_100/ and, for pixels, minilm/,
            for features glove200_flickr8k/.
        folder: where the training photos and those held out of them are written.
        write: write these files unless they exist.
    """
    if setting == "picturebook":
        measured: dict[Split, Source] = {
            "validation": Source("picturebook:val"),
            "reported": Source("picturebook:test"),
        }
        return Conditions(PICTUREBOOK, measured)
    if setting == "pixels":
        towers = flickr8k_towers.settings_of("photo-heads", data, data / "minilm", folder)
        settings = PIXELS | {name: towers[name] for name in ("model", "source", "validation")}
    else:
        settings = settings_of("features", data, folder) | {"captions_per_image": 2}
    settings["labels"] = "concepts"  # Flickr8k has none of its own
    reported = Source(settings["validation"], settings.get("validation_features"))
    settings |= hold_out(settings, folder, write=write)
    held_out = Source(settings["validation"], settings.get("validation_features"))
    without = ("out", "options", "validation", "validation_features", "eval_every")
    train = {name: value for name, value in settings.items() if name not in without}
    return Conditions(train, {"validation": held_out, "reported": reported})
