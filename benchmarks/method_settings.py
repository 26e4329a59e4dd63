"""The settings in which the methods are compared: data, start, budget, and what is held out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flickr8k import hold_out, settings_of

Setting = Literal["picturebook", "features"]
Split = Literal["validation", "reported"]

# As the starter `small`: a small network, trained from random weights.
PICTUREBOOK: dict[str, Any] = {
    "source": "picturebook:train@20000",
    "model": "picturebook-resnet-small/none",
    "vocab_size": 1024,
    "batch_size": 128,
    "captions_per_image": 2,
    "max_steps": 1500,
    "lr": 2e-3,
    "warmup": 0.04,
    "crop": 0.06,
    "precision": "bf16",
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
        setting: picturebook trains a small network on drawn pictures from random weights; features trains a
            text tower and a projection above stored features of Flickr8k photos.
        data: for features, the folder with flickr8k/, glove200_flickr8k/ and mobilenetv2_100/.
        folder: where the training photos and those held out of them are written, for features.
        write: write these files unless they exist.
    """
    if setting == "picturebook":
        measured: dict[Split, Source] = {
            "validation": Source("picturebook:val"),
            "reported": Source("picturebook:test"),
        }
        return Conditions(PICTUREBOOK, measured)
    settings = settings_of("features", data, folder)
    reported = Source(settings["validation"], settings["validation_features"])
    settings |= hold_out(settings, folder, write=write)
    held_out = Source(settings["validation"], settings["validation_features"])
    without = ("out", "options", "validation", "validation_features", "eval_every")
    train = {name: value for name, value in settings.items() if name not in without}
    return Conditions(train | {"captions_per_image": 2}, {"validation": held_out, "reported": reported})
