"""Compare the methods on the same footing: the same start, data, budget and seeds for every row.

    python benchmarks/methods.py select picturebook --out runs/methods
    python benchmarks/methods.py run picturebook --out runs/methods
    python benchmarks/methods.py run flickr8k --data DATA --out runs/methods
    python benchmarks/methods.py table picturebook --out runs/methods

What is done is not done again. `picturebook` goes on from starter:infonce, its image trunk run only once; the
last weights are measured on the test split, whose truth is exact. `flickr8k` trains on features of real
photos (see flickr8k.py) and is measured on the dev split, which also selects the epoch. `select` shows what
the candidate options of each method give on validation, for choosing those of `ROWS`. `table` prints
Markdown, with intervals.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from flickr8k import settings_of
from rich.console import Console
from safetensors.torch import load_file
from torch.nn import functional as F

from itr_core import PairSet, load_encoder, load_pairs, train
from itr_core.labels import label_matrix
from itr_core.metrics import CUTOFFS, label_precision, precision_at_r, ranks
from itr_core.significance import interval, resampled
from itr_core.specs import STARTERS
from itr_core.training_images import cached_features, encode_rows, features_from_file

app = typer.Typer(help=__doc__, no_args_is_help=True)
SHORT = 8
"""Words of a short query: the first length bucket of Fig. 5 of AsCL."""
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
    "crcgs": [{}, {"noise_count": 10_000, "w_c": 0.3}, {"w_ss": 0.1}, {"w_ss": 1.0}],
    "coder": [
        {"queue": 512},
        {"queue": 2048},
        {"queue": 2048, "scheme": "none"},
        {"queue": 2048, "concept_branch": False},
    ],
    "ascl": [{}, {"negatives": "none"}, {"w_i": 0.8, "w_pos": 0.2}],
    "cusa": [{}, {"alpha": 1.0, "beta": 5.0}, {"con_reduction": "mean_all"}],
}
ROWS = {
    "start": Row(""),  # what all begin with, untrained
    "infonce": Row("infonce"),
    "crcgs": Row("crcgs"),
    "coder": Row("coder", {"queue": 1024}),
    "ascl": Row("ascl"),
    "cusa": Row("cusa", {"con_reduction": "mean_all"}),
    "ascl+cusa": Row("ascl+cusa", {"con_reduction": "mean_all"}),
    # What each claim is held against.
    "infonce, two captions": Row("infonce", settings={"captions_per_image": 2}),  # the texts that AsCL reads
    "infonce, batch 128": Row("infonce", settings={"batch_size": 128}),  # twice CODER's negatives of a batch
    "cusa, CSA alone": Row("cusa", {"beta": 0.0, "con_reduction": "mean_all"}),
    "cusa, USA alone": Row("cusa", {"alpha": 0.0, "con_reduction": "mean_all"}),
    "cusa, 0.1 and 0.5": Row("cusa"),
    "crcgs, intra alone": Row("crcgs", {"inter": False}),
    "crcgs, inter alone": Row("crcgs", {"intra": False}),
    "coder, no queue": Row("coder", {"queue": 0}),
    "coder, instance alone": Row("coder", {"queue": 1024, "concept_branch": False}),
    "coder, all weights alike": Row("coder", {"queue": 1024, "concept_branch": False, "scheme": "none"}),
    "infonce, batch 16": Row("infonce", settings={"batch_size": 16}),
    "coder, batch 16": Row("coder", {"queue": 1024}, {"batch_size": 16}, against="infonce, batch 16"),
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
            _measured(ROWS[name], _settings(setting, data) | {"seed": seed}, folder)


@app.command()
def select(setting: Setting, out: Where, data: Data = None) -> None:
    """Train every candidate once and print what it gives on validation, a line each."""
    settings = _settings(setting, data)
    if setting == "picturebook":
        settings["measured_on"] = "picturebook:val"
    candidates: list[tuple[str, dict[str, Any]]] = [("infonce", {})]
    candidates += [(name, own) for name, each in CANDIDATES.items() for own in each]
    for method, options in candidates:
        name = " ".join([method, *(f"{option}={value}" for option, value in options.items())])
        figures = _measured(Row(method, options), settings, _folder(out, f"{setting}-validation", name))
        shown = [
            f"{column} {np.nanmean(figures[column]):.2f}"
            for column in TABLES[0] + TABLES[1]
            if column in figures
        ]
        print(name, *shown, sep=" | ", flush=True)


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
    runs = {name: _runs(out, setting, name) for name in ROWS}
    names = [name for name in row or MAIN if runs[name]]
    if not names:
        raise typer.BadParameter(f"Nothing was measured in {out / setting}; `run` comes first.")
    for columns in TABLES:
        shown = [column for column in columns if any(column in runs[name][0] for name in names)]
        lines = ["| | seeds | " + " | ".join(shown) + " |", "|" + "---|" * (len(shown) + 2)]
        for name in names:
            base = runs[against or ROWS[name].against]
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
