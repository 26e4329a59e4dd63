"""The training runs behind the starter models: their settings, and how each starter is made.

starter:infonce is trained in four stages. The continued starters begin with it, keep its image tower but
for the last projection, and differ in their method only; infonce-continued-2 differs from
infonce-continued in its seed only, so that the two show how much chance does. They keep the weights of
their last step, because no step of such a short training scores higher than the model that it begins with.
The small starters are trained from scratch and differ from `small` in one setting each.
"""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import open_clip
import torch
from method_rows import CHOSEN
from torch.nn import functional as F

from itr_core import load_encoder, load_pairs, train
from itr_core.encoders.checkpoints import save
from itr_core.encoders.checksums import LAST, STATE
from itr_core.pairs import PairSet
from itr_core.pairs.export import export
from itr_core.picturebook.ontology import ADJECTIVES, COLOURS
from itr_core.training.setup import new_encoder

# Chosen for two CPU cores; on a GPU the same commands take minutes.
COMMON: dict[str, Any] = {
    "precision": "bf16",
    "validation": "picturebook:val",
    "batch_size": 128,
    "warmup": 0.04,
    "crop": 0.06,
}
FIRST_STAGE: dict[str, Any] = {
    "model": "picturebook-resnet/none",
    "vocab_size": 2048,
    "captions_per_image": 2,
    "lr": 1e-3,
    "eval_every": 500,
    "save_every": 250,
    "seed": 0,
}
# All five captions of a scene at once: the first stage drew the shortest ones too rarely.
ALL_CAPTIONS_STAGE: dict[str, Any] = {
    "captions_per_image": 5,
    "max_steps": 350,
    "lr": 4e-4,
    "eval_every": 350,
    "save_every": 350,
    "seed": 1,
}
# The objects still missed were small: larger images help where more steps did not.
SIDE = 192
LARGE_IMAGE_STAGE: dict[str, Any] = {
    "captions_per_image": 3,
    "max_steps": 2200,
    "lr": 7e-4,
    "eval_every": 550,
    "save_every": 275,
    "seed": 2,
}
# A linear classifier on the image embeddings found 41 % of the counts and 58 % of the states: the tower was
# too small. It still is small enough for 10 MB.
LAYERS, DIM = (1, 2, 4, 2), 256
# Captions are not what people type: counts, states, "no" and typing errors were heard least.
QUERIES_STAGE: dict[str, Any] = {
    "options": {"hard_negatives": 1.0},
    "validation": "picturebook:val+queries",
    "captions_per_image": 6,
    "max_steps": 6000,
    "lr": 8e-4,
    "warmup": 0.03,
    "ema_decay": 0.998,
    "eval_every": 500,
    "save_every": 100,
    "seed": 11,
}
# On typed queries, too: on captions alone the models would forget how people type. On cached features of the
# image tower, whose last projection is trained: a step takes less time.
CONTINUED: dict[str, Any] = {
    "model": "starter:infonce",
    "source": "picturebook:train+queries@20000",
    "validation": "picturebook:val+queries",
    "image_features": "cache",
    "crop": 0.0,
    "batch_size": 64,
    "captions_per_image": 2,
    "max_steps": 1500,
    "lr": 3e-4,
    "eval_every": 1500,
    "save_every": 100,
    "seed": 3,
}
SMALL: dict[str, Any] = {
    "model": "picturebook-resnet-small/none",
    "source": "picturebook:train@20000",
    "vocab_size": 1024,
    "captions_per_image": 3,
    "max_steps": 1500,
    "lr": 2e-3,
    "eval_every": 500,
    "save_every": 250,
    "seed": 0,
}
SCENES_WITHOUT_COLOURS = 20_000
SMALL_RUNS: dict[str, dict[str, Any]] = {
    "small": {},
    "small-hot": {"temperature": 1.0},
    "small-cold": {"temperature": 0.01},
    "small-batch-8": {"batch_size": 8},
    "small-no-colours": {},
}
CONTINUED_STARTERS = ("infonce-continued", "infonce-continued-2", "crcgs", "coder", "ascl", "cusa")
ABOUT = {
    "infonce": "The model of the demo: InfoNCE on captions, then on typed queries with exact hard negatives.",
    "infonce-continued": "starter:infonce, continued with InfoNCE: the baseline of the other methods.",
    "infonce-continued-2": "starter:infonce-continued with another seed: the two differ by chance only.",
    "crcgs": "starter:infonce, continued with CRCGS for the same number of steps as infonce-continued.",
    "coder": "starter:infonce, continued with CODER for the same number of steps as infonce-continued.",
    "ascl": "starter:infonce, continued with AsCL for the same number of steps as infonce-continued.",
    "cusa": "starter:infonce, continued with CUSA for the same number of steps as infonce-continued.",
    "small": "A smaller model, trained from scratch by InfoNCE. The other small starters fail in comparison.",
    "small-untrained": "starter:small before training: random weights.",
    "small-hot": "As starter:small, but at a fixed temperature of 1: no negative is hard.",
    "small-cold": "As starter:small, but at a fixed temperature of 0.01: only the hardest negative counts.",
    "small-batch-8": "As starter:small, but with batches of 8: 7 negatives per caption, fewer images in all.",
    "small-no-colours": "As starter:small, but on captions without words for colours.",
}
"""What each starter is, in one sentence for its card."""
STARTERS = tuple(ABOUT)


def trained(starter: str, work: Path, source: str, steps: int, workers: int) -> Path:
    """Train a starter, or resume its training, and return its checkpoint.

    Args:
        starter: one of `STARTERS`.
        work: folder of the runs.
        source: training pairs of infonce; the other starters have a source of their own.
        steps: optimiser steps of the first stage of infonce.
        workers: processes that load images.
    """

    def run(name: str, method: str, **settings: Any) -> Path:
        out = work / name
        given = COMMON | {"source": source, "workers": workers} | settings
        return train(method, out=out, resume=(out / STATE).exists(), **given)

    if starter == "infonce":
        first = run("infonce", "infonce", **FIRST_STAGE, max_steps=steps)
        second = run("infonce-terse", "infonce", model=f"local-dir:{first / LAST}", **ALL_CAPTIONS_STAGE)
        larger = enlarge(second, work / f"infonce-terse-{SIDE}", SIDE)
        third = run(f"infonce-{SIDE}", "infonce", model=f"local-dir:{larger}", **LARGE_IMAGE_STAGE)
        deeper = deepen(third, work / "infonce-deep")
        queries = source.replace(":train", ":train+queries")
        return run("infonce-queries", "infonce", model=f"local-dir:{deeper}", source=queries, **QUERIES_STAGE)
    if starter == "small-untrained":
        return _untrained(work / starter)
    if starter in SMALL_RUNS:
        settings = SMALL | SMALL_RUNS[starter]
        if starter == "small-no-colours":
            pairs = without_colours(work / "without-colours", SCENES_WITHOUT_COLOURS)
            settings["source"] = f"parquet:{pairs}"
        return run(starter, "infonce", **settings)
    if starter == "infonce-continued-2":
        return run(starter, "infonce", **CONTINUED | {"seed": CONTINUED["seed"] + 1}) / LAST
    method = starter.removesuffix("-continued")
    options = CHOSEN["picturebook"].get(method, {})
    return run(f"{method}-continued", method, options=options, **CONTINUED) / LAST


def enlarge(folder: Path, larger: Path, side: int) -> Path:
    """Raise the image size of a CLIP ResNet by interpolating the positions of its attention pooling.

    Args:
        folder: checkpoint to read.
        larger: checkpoint to write.
        side: new image size in pixels, a multiple of 32.
    """
    small = load_encoder(f"local-dir:{folder}", device="cpu")
    visual: Any = small.model.visual
    pooling = visual.attnpool
    mean, grid = pooling.positional_embedding.data.split([1, len(pooling.positional_embedding) - 1])
    cells = round(len(grid) ** 0.5)
    square = grid.T.reshape(1, -1, cells, cells)  # (1, width, cells, cells)
    grid = F.interpolate(square, size=(side // 32, side // 32), mode="bicubic").flatten(2)[0].T
    pooling.positional_embedding.data = torch.cat([mean, grid])
    small.config["model_cfg"]["vision_cfg"]["image_size"] = side
    record = {"enlarged": side, "config": {"model": f"local-dir:{folder}"}, "seconds": 0}
    save(larger, small.model, small.tokenizer, small.config, words=small.words, training=record)
    return larger


def deepen(folder: Path, deeper: Path) -> Path:
    """Add blocks to a CLIP ResNet and dimensions to the joint space, almost without a change of the scores.

    The last norm of a new block starts at zero, so that the block passes its input on. The new dimensions
    start with a tenth of the usual weights.

    Args:
        folder: checkpoint to read, with one block in each stage.
        deeper: checkpoint to write, with `LAYERS` blocks and `DIM` dimensions.
    """
    shallow = load_encoder(f"local-dir:{folder}", device="cpu")
    config = deepcopy(shallow.config)
    config["model_cfg"]["embed_dim"] = DIM
    config["model_cfg"]["vision_cfg"]["layers"] = list(LAYERS)
    torch.manual_seed(0)
    model = open_clip.CLIP(**config["model_cfg"])
    weights = model.state_dict()
    for name, old in shallow.model.state_dict().items():
        new = weights[name]
        if new.shape != old.shape:
            new *= 0.1
        new[tuple(map(slice, old.shape))] = old
    record = {"deepened": DIM, "config": {"model": f"local-dir:{folder}"}, "seconds": 0}
    save(deeper, model, shallow.tokenizer, config, words=shallow.words, training=record)
    return deeper


def without_colours(folder: Path, scenes: int) -> Path:
    """Write the first scenes of picturebook:train as parquet, with captions without words for colours."""
    if not folder.exists():
        pairs = load_pairs(f"picturebook:train@{scenes}")
        words = "|".join(word for colour in COLOURS for word in ADJECTIVES.get(colour, (colour,)))
        colour = re.compile(
            rf"(?:\b(?:wearing|dressed in|in) )?\b(?:{words})\b(?: clothes)? ?", re.IGNORECASE
        )
        table = pairs.dataset.map(
            lambda row: {"captions": [colour.sub("", text) for text in row["captions"]]}
        )
        export(PairSet(table, source=pairs.source, decode=pairs.decode), "parquet", folder)
    return folder


def _untrained(folder: Path) -> Path:
    """Write a small model as it is before its training."""
    captions = load_pairs(SMALL["source"]).flat_captions()[0]
    model = new_encoder(
        SMALL["model"], captions, device="cpu", vocab_size=SMALL["vocab_size"], seed=SMALL["seed"]
    )
    record = {"untrained": SMALL["model"], "config": COMMON | SMALL, "seconds": 0, "device": "cpu"}
    save(folder, model.model, model.tokenizer, model.config, words=model.words, training=record)
    return folder
