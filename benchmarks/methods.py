"""Compare the methods on the same footing: the same start, data, budget and seeds for every row.

    python benchmarks/methods.py select picturebook --out runs/methods
    python benchmarks/methods.py run picturebook --out runs/methods
    python benchmarks/methods.py run flickr8k --data DATA --out runs/methods
    python benchmarks/methods.py join flickr8k --data DATA --out runs/methods
    python benchmarks/methods.py table picturebook --out runs/methods

What is done is not done again. `picturebook` goes on from starter:infonce, its image trunk run only once; the
last weights are measured on the test split, whose truth is exact. `flickr8k` trains on features of real
photos (see flickr8k.py) and is measured on the dev split, which also selects the epoch. `select` shows what
the candidate options of each method give on validation, for choosing those of `CHOSEN`; for Flickr8k that
is a part of the training photos, held out. `join` makes one model of the trainings of a row. `table` prints
Markdown, with intervals.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from datasets import Dataset
from flickr8k import settings_of
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from union import union

from itr_core import PairSet, load_encoder, load_pairs, train
from itr_core.labels import label_matrix
from itr_core.metrics import CUTOFFS, label_precision, precision_at_r, ranks
from itr_core.significance import interval, resampled
from itr_core.specs import STARTERS
from itr_core.training_images import cached_features, encode_rows, features_from_file

app = typer.Typer(help=__doc__, no_args_is_help=True)
SHORT = 8
"""Words of a short query: the first length bucket of Fig. 5 of AsCL."""
HELD = 591
"""Training photos of Flickr8k held out to choose options; 5,500 are left."""
PICTUREBOOK: dict[str, Any] = {
    "source": "picturebook:train@10000",
    "model": "starter:infonce",
    "image_features": "cache",
    "max_steps": 100,
    "batch_size": 64,
    "lr": 2e-4,
}
TABLES = (
    ("rSum", "T2I R@1", "I2T R@1", "short T2I R@10"),
    ("T2I mAP@R", "I2T mAP@R", "T2I label mAP", "I2T label mAP"),
    ("T2T mAP@R", "I2I mAP@R", "T2T mAP@R of heads", "I2I mAP@R of heads"),
    ("positive distance", "negative distance"),
)


@dataclass(frozen=True)
class Row:
    """One line of the table: a method, or a control of one."""

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    against: str = "infonce"


CANDIDATES: dict[str, list[dict[str, Any]]] = {
    "infonce": [{}],
    "crcgs": [
        {},
        {"w_ss": 0.1},
        {"w_ss": 1.0},
        {"w_t": 0.02, "w_c": 0.003},
        {"phi": 0.1, "alpha_pair": 0.1},
        {"phi": 0.0, "alpha_pair": 0.0},
        {"phi": 0.0, "alpha_pair": 0.0, "w_t": 0.02, "w_c": 0.003},
    ],
    "coder": [
        {"queue": 1024},
        {"queue": 4096},
        {"queue": 1024, "live_batch": True},
        {"queue": 4096, "live_batch": True},
        {"queue": 1024, "live_batch": True, "scheme": "none"},
        {"queue": 1024, "live_batch": True, "scheme": "exp", "sharpness": 5.0},
        {"queue": 1024, "live_batch": True, "scheme": "hal"},
        {"queue": 1024, "live_batch": True, "sharpness": 0.5},
        {"queue": 1024, "live_batch": True, "sharpness": 2.0},
        {"queue": 1024, "live_batch": True, "momentum": 0.95},
        {"queue": 1024, "live_batch": True, "lambda_c": 0.1},
        {"queue": 1024, "live_batch": True, "concept_branch": False},
    ],
    "ascl": [
        {},
        {"negatives": "none"},
        {"w_i": 0.8, "w_pos": 0.2},
        {"positives": "concat"},
        {"positives": "truncate"},
        {"filter_mode": "drop"},
    ],
    "cusa": [
        {},
        {"alpha": 1.0, "beta": 5.0},
        {"alpha": 0.0, "beta": 20.0},
        {"con_reduction": "mean_all"},
        {"con_reduction": "mean_all", "alpha": 0.02},
        {"con_reduction": "mean_all", "beta": 0.1},
        {"con_reduction": "mean_all", "soft_labels": "add"},
    ],
    "ascl+cusa": [
        {"con_reduction": "mean_all"},
        {"con_reduction": "mean_all", "negatives": "none"},
        {"con_reduction": "mean_all", "w_i": 0.8, "w_pos": 0.2},
        {"alpha": 1.0, "beta": 5.0},
    ],
}
CHOSEN: dict[str, dict[str, dict[str, Any]]] = {
    "picturebook": {
        "coder": {"queue": 1024},
        "cusa": {"con_reduction": "mean_all"},
        "ascl+cusa": {"con_reduction": "mean_all"},
    },
    "flickr8k": {
        "coder": {"queue": 1024, "live_batch": True},
        "cusa": {"con_reduction": "mean_all"},
        "ascl+cusa": {"con_reduction": "mean_all"},
    },
}
"""Options of methods, where not their defaults, by `select`."""
ROWS = {
    "start": Row(""),  # what all begin with, untrained
    **{method: Row(method) for method in CANDIDATES},
    # What each claim is held against.
    "infonce, two captions": Row("infonce", settings={"captions_per_image": 2}),  # the texts that AsCL reads
    "infonce, batch 128": Row("infonce", settings={"batch_size": 128}),  # twice CODER's negatives of a batch
    "cusa, CSA alone": Row("cusa", {"beta": 0.0}),
    "cusa, USA alone": Row("cusa", {"alpha": 0.0}),
    "crcgs, intra alone": Row("crcgs", {"inter": False}),
    "crcgs, inter alone": Row("crcgs", {"intra": False}),
    "coder, no queue": Row("coder", {"queue": 0}),
    "coder, queue 4096": Row("coder", {"queue": 4096}),
    "coder, instance alone": Row("coder", {"concept_branch": False}),
    "coder, all weights alike": Row("coder", {"concept_branch": False, "scheme": "none"}),
    "coder, batch against keys": Row("coder", {"live_batch": False}),
    "infonce, batch 16": Row("infonce", settings={"batch_size": 16}),
    "coder, batch 16": Row("coder", settings={"batch_size": 16}, against="infonce, batch 16"),
    "infonce, batch 32": Row("infonce", settings={"batch_size": 32}),
    "coder, batch 32": Row("coder", settings={"batch_size": 32}, against="infonce, batch 32"),
}
MAIN = ("start", "infonce", "crcgs", "coder", "ascl", "cusa", "ascl+cusa")

Setting = Annotated[str, typer.Argument(help="picturebook or flickr8k.")]
Where = Annotated[Path, typer.Option(help="Folder of the runs and what was measured of them.")]
Data = Annotated[
    Path | None, typer.Option(help="Folder with flickr8k/, glove200_flickr8k/, mobilenetv2_100/.")
]
Names = Annotated[list[str] | None, typer.Option("--row", help="Of the table; by default the six methods.")]


@app.command()
def run(
    setting: Setting,
    out: Where,
    data: Data = None,
    row: Names = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each row.")] = 3,
) -> None:
    """Train what is missing, seed by seed, and measure it."""
    for seed, name in product(range(seeds), row or MAIN):
        if ROWS[name].method or (setting == "picturebook" and not seed):
            folder = _folder(out, setting, name) / str(seed)
            _measured(chosen(setting, name), _settings(setting, data) | {"seed": seed}, folder)


@app.command()
def select(
    setting: Setting,
    out: Where,
    data: Data = None,
    row: Annotated[list[str] | None, typer.Option(help="Of the candidates; by default all methods.")] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each candidate.")] = 2,
) -> None:
    """Train every candidate and print what it gives on validation, a line each."""
    settings = _settings(setting, data)
    stage = f"{setting}-validation"
    settings |= {"measured_on": "picturebook:val"} if data is None else hold_out(data, out / stage)
    for method in row or CANDIDATES:
        for options in CANDIDATES[method]:
            name = " ".join([method, *(f"{option}={value}" for option, value in options.items())])
            runs = [
                _measured(
                    Row(method, options), settings | {"seed": seed}, _folder(out, stage, name) / str(seed)
                )
                for seed in range(seeds)
            ]
            shown = [
                f"{column} {np.mean([np.nanmean(run[column]) for run in runs]):.1f}"
                for column in TABLES[0] + TABLES[1]
                if column in runs[0]
            ]
            print(name, *shown, sep=" | ", flush=True)


def hold_out(data: Path, out: Path) -> dict[str, Any]:
    """Take the last `HELD` training photos of Flickr8k for validation; return what of the settings changes.

    So dev, on which methods are compared, has no say in their options.
    """
    photos = Dataset.from_parquet(str(data / "flickr8k" / "train.parquet"))
    stored = load_file(data / "flickr8k" / "mobilenetv2_features.safetensors")
    rows = {"fit": slice(None, -HELD), "held": slice(-HELD, None)}
    features = out / "features.safetensors"
    if not features.exists():
        out.mkdir(parents=True, exist_ok=True)
        for name, part in rows.items():
            photos.select(range(len(photos))[part]).to_parquet(out / f"{name}.parquet")
        save_file(
            {f"{name}_q": stored["train_q"][part].clone() for name, part in rows.items()}
            | {f"{name}_scale": stored["train_scale"].clone() for name in rows},
            features,
        )
    held = f"parquet:{out / 'held.parquet'}"
    return {
        "source": f"parquet:{out / 'fit.parquet'}",
        "image_features": f"{features}:fit",
        "validation": held,
        "validation_features": f"{features}:held",
        "measured_on": held,
    }


@app.command()
def join(setting: Setting, out: Where, data: Data = None, row: Names = None) -> None:
    """Make one model of all trainings of a row, by `union`, and measure it as the row "NAME, joined"."""
    settings = _settings(setting, data)
    for name in row or MAIN[1:]:
        folder = _folder(out, setting, f"{name}, joined")
        members = sorted(state.parent for state in _folder(out, setting, name).glob("*/state.safetensors"))
        if not (folder / "0" / "measured.npz").exists():
            model = union(members, folder / "0")
            figures = measure(model, load_pairs(settings["measured_on"]), settings.get("validation_features"))
            np.savez(folder / "0" / "measured.npz", **figures)


def chosen(setting: str, name: str) -> Row:
    """The row of that name with the options that its method was given for this setting."""
    row = ROWS[name]
    return replace(row, options=CHOSEN[setting].get(row.method, {}) | row.options)


def _folder(out: Path, setting: str, name: str) -> Path:
    return out / setting / name.replace(",", "").replace(" ", "-")


def _settings(setting: str, data: Path | None) -> dict[str, Any]:
    """Arguments of `train`, and `measured_on`."""
    if setting == "picturebook":
        return PICTUREBOOK | {"measured_on": "picturebook:test"}
    if setting == "flickr8k" and data is not None:
        settings = settings_of("features", data, Path())
        return settings | {"measured_on": settings["validation"], "captions_per_image": 2}
    raise typer.BadParameter(f"{setting!r}: write picturebook, or flickr8k with --data.")


def _measured(row: Row, settings: dict[str, Any], folder: Path) -> dict[str, np.ndarray]:
    """Train a row unless that is done, and return what `measure` found."""
    stored = folder / "measured.npz"
    if not stored.exists():
        arguments = settings | row.settings | {"options": row.options, "out": folder, "progress": False}
        source, model = arguments.pop("measured_on"), STARTERS / "infonce"
        if row.method:
            model = train(row.method, resume=(folder / "state.safetensors").exists(), **arguments)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(stored, **measure(model, load_pairs(source), settings.get("validation_features")))
    return dict(np.load(stored))


def measure(model: Path, pairs: PairSet, features: str | None) -> dict[str, np.ndarray]:
    """Columns of the tables, query by query: (n,) for images or (m,) for captions, NaN for what is none.

    `owner` is the row of each caption's image.
    """
    encoder = load_encoder(f"local-dir:{model}", device="cpu")
    stored = (
        features_from_file(features, len(pairs))
        if features
        else cached_features(pairs, encoder, workers=0, progress=False)
    )
    images, _ = encode_rows(encoder, stored, np.arange(len(pairs)))
    captions, owner = pairs.flat_captions()
    texts = encoder.encode_texts(captions)
    similarity = images @ texts.T
    t2i, i2t = ranks(similarity, owner)
    short = np.array([len(caption.split()) <= SHORT for caption in captions])
    distance = np.sqrt(np.maximum(2 - 2 * similarity, 0))
    positive = distance[owner, np.arange(len(owner))]
    hits = sum(100.0 * (t2i <= k) for k in CUTOFFS)
    measured = {
        "rSum": sum(100.0 * (i2t <= k) for k in CUTOFFS) + np.bincount(owner, hits) / np.bincount(owner),
        "T2I R@1": 100.0 * (t2i <= 1),
        "I2T R@1": 100.0 * (i2t <= 1),
        "short T2I R@10": np.where(short, 100.0 * (t2i <= 10), np.nan),
        "positive distance": positive,
        "negative distance": (distance.sum(0) - positive) / (len(images) - 1),
    }
    true = pairs.relevance.matrix() if pairs.relevance else None
    if true is not None:
        measured["T2I mAP@R"] = 100 * precision_at_r(similarity.T, true.T)[0]
        measured["I2T mAP@R"] = 100 * precision_at_r(similarity, true)[0]
    if pairs.labels is not None:
        _, has = label_matrix(pairs, "source", lambda: (images, images), seed=0)
        measured["T2I label mAP"] = 100 * label_precision(similarity.T, has[owner], has)["map@all"]
        measured["I2T label mAP"] = 100 * label_precision(similarity, has, has[owner])["map@all"]
    same = owner[:, None] == owner
    alike = (
        None if true is None else np.logical_or.reduceat(true.T, np.searchsorted(owner, range(len(pairs))))
    )
    for space, own_texts, own_images in [("", texts, images), *_of_heads(model, texts, images)]:
        measured[f"T2T mAP@R{space}"] = _like_finds_like(own_texts, same)
        if alike is not None:
            measured[f"I2I mAP@R{space}"] = _like_finds_like(own_images, alike)
    return measured | {"owner": owner}


def _of_heads(model: Path, texts: np.ndarray, images: np.ndarray) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """The same in the spaces of CUSA's heads, which are for search within one modality."""
    file = model / "heads.safetensors"
    heads = load_file(file) if file.exists() else {}
    heads = {name.removeprefix("cusa."): value for name, value in heads.items()}
    if "cross_temperature.value" not in heads:  # the heads are another method's
        return []

    def through(head: str, rows: np.ndarray) -> np.ndarray:
        gain, shift, weight, bias = (
            heads[f"{head}.{part}"] for part in ("0.weight", "0.bias", "1.weight", "1.bias")
        )
        normed = F.layer_norm(torch.from_numpy(rows) * len(gain) ** 0.5, gain.shape, gain, shift)
        return F.normalize(F.linear(normed, weight, bias), dim=-1).numpy()

    return [(" of heads", through("text_head", texts), through("image_head", images))]


def _like_finds_like(units: np.ndarray, right: np.ndarray) -> np.ndarray:
    """AP@R in percent of each unit vector (n, d) among the others, of which (n, n) are right."""
    similarity = units @ units.T
    np.fill_diagonal(similarity, -np.inf)
    return 100 * precision_at_r(similarity, right & ~np.eye(len(units), dtype=bool))[0]


@app.command()
def table(
    setting: Setting,
    out: Where,
    row: Names = None,
    against: Annotated[str | None, typer.Option(help="Another row to compare all with.")] = None,
) -> None:
    """Print the tables: mean and spread over seeds, and how far each row is from InfoNCE.

    The interval is a paired bootstrap over images, 95 %, of the difference of two rows, both averaged over
    the seeds they share.
    """
    known = {*ROWS, *(f"{name}, joined" for name in MAIN)}
    runs = {name: _runs(out, setting, name) for name in known}
    names = [name for name in row or MAIN if runs[name]]
    if not names:
        raise typer.BadParameter(f"Nothing was measured in {out / setting}; `run` comes first.")
    for columns in TABLES:
        shown = [column for column in columns if any(column in runs[name][0] for name in names)]
        lines = ["| | seeds | " + " | ".join(shown) + " |", "|" + "---|" * (len(shown) + 2)]
        for name in names:
            base = runs[against or (ROWS[name].against if name in ROWS else "infonce")]
            cells = [_cell(runs[name], base, column) for column in shown]
            lines.append(f"| {name} | {len(runs[name])} | " + " | ".join(cells) + " |")
        if shown:
            Console(soft_wrap=True).print("\n".join([*lines, ""]), markup=False)


def _runs(out: Path, setting: str, name: str) -> list[dict[str, np.ndarray]]:
    return [dict(np.load(file)) for file in sorted(_folder(out, setting, name).glob("*/measured.npz"))]


def _cell(ours: Sequence[dict[str, np.ndarray]], base: Sequence[dict[str, np.ndarray]], column: str) -> str:
    """Mean +- spread over seeds, and the interval of the difference to the base."""
    if column not in ours[0]:
        return ""
    digits = 3 if "distance" in column else 1
    each = [np.nanmean(one[column]) for one in ours]
    cell = f"{np.mean(each):.{digits}f}"
    if len(each) > 1:
        cell += f" ± {np.std(each, ddof=1):.{digits}f}"
    if ours is base or not base or column not in base[0]:
        return cell
    gap = np.mean([a[column] - b[column] for a, b in zip(ours, base, strict=False)], axis=0)
    n = len(ours[0]["rSum"])
    image = np.arange(n) if len(gap) == n else ours[0]["owner"]
    some = ~np.isnan(gap)
    low, high = interval(resampled(gap[some], image[some], n))
    return f"{cell} ({gap[some].mean():+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}])"


if __name__ == "__main__":
    app()
