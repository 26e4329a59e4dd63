"""Train on Flickr8k and measure on its dev split.

    python benchmarks/flickr8k.py features DATA --out runs/flickr8k

features    trains on features of the original photos: three trainings that differ by their seed, merged into
            one model (baseline on the same features, linear CCA: rSum 222.8)
photos      trains on the stored photos with a frozen ImageNet trunk, whose features are computed once
            (baseline on the same photos, linear CCA: rSum 183.9)
finetune    continues the model of `photos` and trains the trunk too

DATA is a folder with flickr8k/, glove200_flickr8k/ and mobilenetv2_100/. The epoch is chosen on dev, so the
figures are validation figures. The models are plain open_clip models.
"""

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from datasets import Dataset
from ensemble import merge
from reporting import ResultsOption, report
from results import Column, Measurement, Row, Table
from safetensors.numpy import load_file, save_file

from itr_core import load_encoder, load_pairs
from itr_core.features.image_rows import DecodedImages, ImageRows, encode_rows, features_from_file
from itr_core.metrics import CosineSimilarity, ranks
from itr_core.metrics.bootstrap import interval
from itr_core.metrics.samples import recalls
from itr_core.training import train

Part = Literal["features", "photos", "finetune"]

SETTINGS: dict[str, Any] = {
    "options": {"siblings": 1.0},  # the five captions of an image are positives of each other
    "batch_size": 128,
    "captions_per_image": 5,
    "epochs": 20,
    "lr": 1e-3,
    "weight_decay": 3.0,  # 6,091 photos overfit soon
    "vocab_size": 2500,  # a token for each rare word would identify its photo
    "word_dropout": 0.15,
    "ema_decay": 0.995,
    "precision": "bf16",
    "eval_every": 47,
    "save_every": 10_000,
}
HELD_OUT = 1_000
"""Training photos that `hold_out` removes: as many as dev has, so that recall is among equally many."""
MEMBERS = 3
FINETUNE: dict[str, Any] = {
    "epochs": 6,
    "lr": 1e-4,
    "text_lr_factor": 0.3,
    "weight_decay": 0.1,
    "ema_decay": 0.99,
    "flip": True,  # wrong for the few captions that say left or right, but a gain for the photos
}
GOALS: dict[Part, float] = {"features": 280, "finetune": 230}  # rSum
COLUMNS = {
    f"{direction}_r{k}": Column(title=f"{direction.upper()} R@{k}")
    for direction in ("t2i", "i2t")
    for k in (1, 5, 10)
} | {"rsum": Column(title="rSum"), "goal": Column(title="goal", format=".0f")}


def main(
    part: Annotated[
        Part,
        typer.Argument(
            help="features: train on features of the original photos; photos: on the stored photos with a "
            "frozen image trunk; finetune: continue the model of `photos` and train all weights."
        ),
    ],
    data: Annotated[
        Path, typer.Argument(help="Folder with flickr8k/, glove200_flickr8k/, mobilenetv2_100/.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the runs; this part's are in OUT/PART.")],
    results: ResultsOption = None,
) -> None:
    """Train one part, then measure the models that it wrote."""
    settings = settings_of(part, data, out)
    start = time.perf_counter()
    models: dict[str, Path] = {}
    if part == "features":
        for seed in range(MEMBERS):
            member = {"out": settings["out"] / str(seed), "seed": seed}
            models[f"features, seed {seed}"] = train("infonce", **settings | member)
        merged = merge([*models.values()], settings["out"] / "ensemble")
        models = {f"features, ensemble of {MEMBERS} trainings": merged} | models
    else:
        models[part] = train("infonce", **settings)
    minutes = (time.perf_counter() - start) / 60
    rows = [Row(title=name, cells={**measure(model, settings)}) for name, model in models.items()]
    if part in GOALS:
        rows[0] = rows[0].model_copy(update={"cells": {**rows[0].cells, "goal": GOALS[part]}})
    notes = [f"Training took {minutes:.1f} minutes."]
    report(f"flickr8k_{part}", {"dev": Table(columns=COLUMNS, rows=rows)}, results, notes)


def settings_of(part: Part, data: Path, out: Path) -> dict[str, Any]:
    """Return all arguments of `train` for one part."""
    flickr = data / "flickr8k"
    features = flickr / "mobilenetv2_features.safetensors"
    settings = SETTINGS | {
        "source": f"parquet:{flickr / 'train.parquet'}",
        "validation": f"parquet:{flickr / 'dev.parquet'}",
        "out": out / part,
    }
    if part == "finetune":  # the weights of the trunk have no batch-norm statistics
        return settings | FINETUNE | {"model": f"local-dir:{out / 'photos'}", "freeze_batch_norm": True}
    settings |= {
        "model": "mobilenetv2-mini/none",
        "image_weights": str(data / "mobilenetv2_100" / "backbone.safetensors"),
        "pixel_norm": "inception",
        "resize": "squash",
        "word_vectors": str(data / "glove200_flickr8k"),
    }
    if part == "photos":
        return settings | {"image_features": "cache"}
    return settings | {
        "image_features": f"{features}:train",
        "validation_features": f"{features}:dev",
    }


def hold_out(settings: dict[str, Any], out: Path, *, write: bool = True) -> dict[str, Any]:
    """Validate on the last `HELD_OUT` training photos, so that dev takes no part in choosing options.

    Args:
        settings: those of the part `features`, or of a part that trains on the photos themselves.
        out: folder for the two parts of the training split.
        write: write the two parts unless they exist.

    Returns:
        The settings that change.
    """
    if write:
        _write_parts(settings, out)
    split = {"source": f"parquet:{out / 'fit.parquet'}", "validation": f"parquet:{out / 'held.parquet'}"}
    if "validation_features" not in settings:
        return split
    features = out / "features.safetensors"
    return split | {"image_features": f"{features}:fit", "validation_features": f"{features}:held"}


def _write_parts(settings: dict[str, Any], out: Path) -> None:
    """Write the two parts of the training split, and of its features, unless they exist."""
    rows = {"fit": slice(None, -HELD_OUT), "held": slice(-HELD_OUT, None)}
    out.mkdir(parents=True, exist_ok=True)
    photos = Dataset.from_parquet(settings["source"].removeprefix("parquet:"))
    for name, part in rows.items():
        if not (out / f"{name}.parquet").exists():
            photos.select(range(len(photos))[part]).to_parquet(out / f"{name}.parquet")
    features = out / "features.safetensors"
    if "validation_features" in settings and not features.exists():
        stored = load_file(settings["image_features"].removesuffix(":train"))
        save_file(
            {f"{name}_q": stored["train_q"][part] for name, part in rows.items()}
            | {f"{name}_scale": stored["train_scale"] for name in rows},
            features,
        )


def measure(checkpoint: Path, settings: dict[str, Any]) -> dict[str, Measurement]:
    """Measure a model on dev.

    Returns:
        Recalls and rSum by the keys of `COLUMNS`, each with its 95 % bootstrap interval over images.
    """
    encoder, pairs = load_encoder(f"local-dir:{checkpoint}"), load_pairs(settings["validation"])
    spec = settings.get("validation_features")
    images: ImageRows = features_from_file(spec, pairs) if spec else DecodedImages(pairs, encoder)
    embeddings, _ = encode_rows(encoder, images, np.arange(len(pairs)))
    captions, image_of_caption = pairs.flat_captions()
    t2i, i2t = ranks(CosineSimilarity(embeddings, encoder.encode_texts(captions)), image_of_caption)
    measured = {}
    for figure in recalls("standard", t2i, i2t, image_of_caption):
        if figure.name in COLUMNS:
            low, high = interval(figure.bootstrap())
            measured[figure.name] = Measurement(value=figure.value, low=low, high=high)
    return measured


if __name__ == "__main__":
    typer.run(main)
