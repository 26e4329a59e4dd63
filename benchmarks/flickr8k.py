"""Train on Flickr8k, measure on its dev split: `python benchmarks/flickr8k.py PART DATA --out DIR`.

features    on features of the original photos, made elsewhere (like with like: linear CCA, rSum 222.8):
            MEMBERS trainings that differ by seed, then their `union`
photos      on the photos as stored, ImageNet trunk frozen, its features made once (linear CCA, rSum 183.9)
finetune    the model of `photos`, its trunk trained too

DATA is a folder with flickr8k/, glove200_flickr8k/ and mobilenetv2_100/. The epoch is chosen on dev, so the
figures are those of a validation split. The model is one of open_clip's; nothing but open_clip is needed to
load it.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from ensemble import union
from safetensors.numpy import load_file, save_file

from itr_core import load_encoder, load_pairs
from itr_core.features.image_rows import DecodedImages, ImageRows, encode_rows, features_from_file
from itr_core.metrics import CosineSimilarity, ranks
from itr_core.metrics.bootstrap import interval
from itr_core.metrics.samples import recalls
from itr_core.training import train

SETTINGS: dict[str, Any] = {
    "options": {"siblings": 1.0},  # five ways to say the same tell which words are alike
    "batch_size": 128,
    "captions_per_image": 5,
    "epochs": 20,
    "lr": 1e-3,
    "weight_decay": 3.0,  # 6,091 photos are soon known by heart
    "vocab_size": 2500,  # a word of its own for each rare word would give its photo away
    "word_dropout": 0.15,
    "ema_decay": 0.995,
    "precision": "bf16",
    "eval_every": 47,
    "save_every": 10_000,
}
HELD = 591
"""Training photos that `hold_out` takes away; 5,500 are left."""
MEMBERS = 3  # each knows other things of the few photos by heart, and is wrong elsewhere
FINETUNE: dict[str, Any] = {
    "epochs": 6,
    "lr": 1e-4,
    "text_lr_factor": 0.3,
    "weight_decay": 0.1,
    "ema_decay": 0.99,
    "flip": True,  # the few captions that say left or right lose less than the photos gain
}


def settings_of(part: str, data: Path, out: Path) -> dict[str, Any]:
    """All arguments of `train` for one part of the benchmark."""
    flickr = data / "flickr8k"
    features = flickr / "mobilenetv2_features.safetensors"
    settings = SETTINGS | {
        "source": f"parquet:{flickr / 'train.parquet'}",
        "validation": f"parquet:{flickr / 'dev.parquet'}",
        "out": out / part,
    }
    if part == "finetune":  # the trunk comes without statistics for its batch norms
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


def hold_out(settings: dict[str, Any], out: Path) -> dict[str, Any]:
    """Validate on the last `HELD` training photos of part features; return what of its settings changes.

    So dev, on which methods are compared, has no say in their options.
    """
    rows = {"fit": slice(None, -HELD), "held": slice(-HELD, None)}
    features = out / "features.safetensors"
    if not features.exists():
        photos = Dataset.from_parquet(settings["source"].removeprefix("parquet:"))
        stored = load_file(settings["image_features"].removesuffix(":train"))
        out.mkdir(parents=True, exist_ok=True)
        for name, part in rows.items():
            photos.select(range(len(photos))[part]).to_parquet(out / f"{name}.parquet")
        save_file(
            {f"{name}_q": stored["train_q"][part] for name, part in rows.items()}
            | {f"{name}_scale": stored["train_scale"] for name in rows},
            features,
        )
    return {
        "source": f"parquet:{out / 'fit.parquet'}",
        "image_features": f"{features}:fit",
        "validation": f"parquet:{out / 'held.parquet'}",
        "validation_features": f"{features}:held",
    }


def measure(checkpoint: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """`retrieval_metrics` on dev, each with its 95 % interval: a bootstrap of 1,000 draws over images."""
    encoder, pairs = load_encoder(f"local-dir:{checkpoint}"), load_pairs(settings["validation"])
    spec = settings.get("validation_features")
    images: ImageRows = features_from_file(spec, len(pairs)) if spec else DecodedImages(pairs, encoder)
    embeddings, _ = encode_rows(encoder, images, np.arange(len(pairs)))
    captions, image_of_caption = pairs.flat_captions()
    t2i, i2t = ranks(CosineSimilarity(embeddings, encoder.encode_texts(captions)), image_of_caption)
    return {
        figure.name: [round(bound, 1) for bound in (figure.value, *interval(figure.bootstrap()))]
        for figure in recalls("standard", t2i, i2t, image_of_caption)
    }


def main() -> None:
    """Train one part, then measure the checkpoint that it left behind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=["features", "photos", "finetune"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="for DIR/PART")
    args = parser.parse_args()

    settings = settings_of(args.part, args.data, args.out)
    start = time.perf_counter()
    if args.part == "features":
        members = [
            train("infonce", **settings | {"out": settings["out"] / str(seed), "seed": seed})
            for seed in range(MEMBERS)
        ]
        checkpoint = union(members, settings["out"] / "union")
    else:
        checkpoint = train("infonce", **settings)
    minutes = (time.perf_counter() - start) / 60
    print(json.dumps({"minutes": round(minutes, 1), **measure(checkpoint, settings)}))


if __name__ == "__main__":
    main()
