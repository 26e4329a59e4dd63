"""Make the data of the Learn page: features to train on in the browser, and recorded runs of the methods.

    python benchmarks/learn_data.py features
    python benchmarks/learn_data.py runs

Both write to assets/learn. They use pictures of Picturebook's validation split with the longest caption of
each: the browser trains on the first 512 pairs, and everything is measured on the other 256.
"""

import json
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from method_rows import CHOSEN
from provenance import command_line
from safetensors.numpy import save_file

from analysis.geometry import alignment, uniformity
from itr_core import load_encoder, load_pairs
from itr_core.features.image_rows import ImageRows, cached_features, encode_rows
from itr_core.features.teachers import open_teachers
from itr_core.metrics import retrieval_metrics
from itr_core.pairs import PairSet
from itr_core.training.accelerator import deterministic, open_accelerator
from itr_core.training.config import TrainConfig
from itr_core.training.metric_log import TrainingLog
from itr_core.training.trainer import LOG, Trainer

TRAIN, HELD = 512, 256
SOURCE = f"picturebook:val@{TRAIN + HELD}"
WIDTH = 64
"""Numbers per image and per caption."""
FOLDER = Path(str(files("assets"))) / "learn"

METHODS = ("infonce", "crcgs", "coder", "ascl", "cusa")
RUN: dict[str, Any] = {
    "source": "picturebook:train@2000",
    "model": "picturebook-resnet/none",
    "batch_size": 64,
    "max_steps": 120,
    "eval_every": 10,
}
"""Arguments of `train` of the recorded runs: a new text tower and projection on the features of a starter."""

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
Out = Annotated[Path, typer.Option(help="Folder of the data.")]
Model = Annotated[str, typer.Option(help="Model whose frozen image trunk computes the features.")]


@app.command()
def features(out: Out = FOLDER, model: Model = "starter:infonce") -> None:
    """Write the features of the pairs: of images by the frozen trunk of a model, of captions by LSA."""
    pairs, encoder = load_pairs(SOURCE), load_encoder(model)
    images = cached_features(pairs, encoder, workers=0, progress=True)
    of_images, of_captions = open_teachers(None, None, pairs, images, encoder)
    embedded, _ = encode_rows(encoder, images, np.arange(TRAIN, TRAIN + HELD))
    starter = plane(embedded, encoder.encode_texts(longest_captions(pairs)[TRAIN:]))
    out.mkdir(parents=True, exist_ok=True)
    tensors = {
        "images": compact(reduce(of_images)),
        "captions": compact(reduce(of_captions)[_longest(pairs)]),
    }
    about = {
        "train": TRAIN, "starter": starter, "model": model, "weights": encoder.fingerprint,
        "source": pairs.source, "command": command_line(),
    }  # fmt: skip
    save_file(
        tensors, out / "features.safetensors",
        {name: each if isinstance(each, str) else json.dumps(each) for name, each in about.items()},
    )  # fmt: skip
    typer.echo(f"{model}: {starter}")


class RecordedTraining(Trainer):
    """A training that measures the held-out pairs instead of validating."""

    points: list[dict[str, float]]

    def _validate(self, pairs: PairSet, images: ImageRows, log: TrainingLog) -> None:
        encoder = self.train_step.model
        embedded, _ = encode_rows(encoder, images, np.arange(TRAIN, TRAIN + HELD))
        captions = encoder.encode_texts(longest_captions(pairs)[TRAIN:])
        self.points.append({"step": self.trainer_state["step"], **plane(embedded, captions)})


@app.command()
def runs(
    out: Out = FOLDER,
    model: Model = "starter:infonce",
    seed: Annotated[int, typer.Option(help="Of the first weights and the batches.")] = 0,
) -> None:
    """Record one short training of each method."""
    recorded = {}
    with TemporaryDirectory() as folder:
        trained_on, held_out = Path(folder) / "train.safetensors", Path(folder) / "held.safetensors"
        for source, file in ((RUN["source"], trained_on), (SOURCE, held_out)):
            rows = cached_features(load_pairs(source), load_encoder(model), workers=0, progress=True)
            save_file({"features": rows.values}, file)
        given: dict[str, Any] = {
            "image_features": f"{trained_on}:features",
            "validation": SOURCE,
            "validation_features": f"{held_out}:features",
            "seed": seed,
        }
        for method in METHODS:
            options = CHOSEN["picturebook"].get(method, {})
            typer.echo(f"{method} {options or ''}")
            points = _record(
                TrainConfig(method=method, options=options, **RUN, **given), Path(folder) / method
            )
            recorded[method] = {"options": options, "points": points}
            typer.echo(str(points[-1]))
    about = {"command": command_line(), "trunk": model, "seed": seed, "held_out": HELD, **RUN}
    (out / "runs.json").write_text(json.dumps({**about, "runs": recorded}) + "\n", encoding="utf-8")


def _record(config: TrainConfig, out: Path) -> list[dict[str, float]]:
    """Train; return loss, alignment, uniformity and R@1 every few steps, the first before training."""
    config = config.with_rates()
    with open_accelerator(config, out) as accelerator, deterministic(accelerator.device):
        training = RecordedTraining.start(config, out, accelerator, progress=False)
        training.points = []
        training.run()
    entries = map(json.loads, (out / LOG).read_text(encoding="utf-8").splitlines())
    losses = {entry["step"]: round(entry["loss"], 4) for entry in entries if "loss" in entry}
    return [point | {"loss": losses[point["step"]]} if point["step"] else point for point in training.points]


def plane(images: np.ndarray, captions: np.ndarray) -> dict[str, float]:
    """Measure the embeddings of n pairs: alignment, uniformity of both together, R@1 of captions in %."""
    found = retrieval_metrics(images @ captions.T, np.arange(len(captions)))
    return {
        "alignment": round(alignment(images, captions), 4),
        "uniformity": round(uniformity(np.concatenate([images, captions])), 4),
        "r1": round(found["t2i_r1"], 2),
    }


def longest_captions(pairs: PairSet) -> list[str]:
    """Return the longest caption of each image."""
    return [max(texts, key=len) for texts in pairs.captions]


def _longest(pairs: PairSet) -> np.ndarray:
    texts, image_of_caption = pairs.flat_captions()
    order = np.lexsort((-np.array([len(text) for text in texts]), image_of_caption))
    return order[np.unique(image_of_caption, return_index=True)[1]]


def reduce(rows: np.ndarray) -> np.ndarray:
    """Project rows (n, k) on their first `WIDTH` principal components."""
    centred = rows.astype(float) - rows.mean(0, dtype=float)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:WIDTH].T


def compact(rows: np.ndarray) -> np.ndarray:
    """Return unit vectors as int8, with the same scale in all rows: readers make them unit vectors again."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.rint(127 / np.abs(unit).max() * unit).astype(np.int8)


if __name__ == "__main__":
    app()
