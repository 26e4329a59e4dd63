"""Compare the methods on the same footing: the same start, data, budget and seeds for every row.

    python benchmarks/methods.py run picturebook --out runs/methods
    python benchmarks/methods.py run flickr8k --data DATA --out runs/methods
    python benchmarks/methods.py table picturebook --out runs/methods

What is done is not done again. `picturebook` goes on from starter:infonce, its image trunk run only once, and
is measured on the test split, whose truth is exact. `flickr8k` trains on features of real photos (see
flickr8k.py) and is measured on the dev split, which also selects the epoch. Weights are selected by rSum on
validation. `table` prints Markdown, with intervals.
"""

from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from flickr8k import settings_of
from rich.console import Console

from itr_core import load_encoder, load_pairs, train
from itr_core.metrics import CUTOFFS, label_map, precision_at_r, ranks
from itr_core.training_images import features_from_file

app = typer.Typer(help=__doc__, no_args_is_help=True)
SHORT = 8
"""Words of a short query: the first length bucket of Fig. 5 of AsCL."""
PICTUREBOOK: dict[str, Any] = {
    "source": "picturebook:train@20000",
    "validation": "picturebook:val",
    "model": "starter:infonce",
    "image_features": "cache",
    "max_steps": 600,
    "batch_size": 128,
    "lr": 5e-4,
    "eval_every": 100,
}


@dataclass(frozen=True)
class Row:
    """One line of the table: a method, or a control of one."""

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


ROWS = {
    "infonce": Row("infonce"),
    "crcgs": Row("crcgs"),
    "coder": Row("coder", {"queue": 2048}),
    "ascl": Row("ascl"),
    "cusa": Row("cusa"),
    "ascl+cusa": Row("ascl+cusa"),
    # What each claim is held against.
    "infonce, two captions": Row("infonce", settings={"captions_per_image": 2}),  # the texts that AsCL reads
    "infonce, batch 256": Row("infonce", settings={"batch_size": 256}),  # twice CODER's negatives of a batch
    "cusa, CSA alone": Row("cusa", {"beta": 0.0}),
    "cusa, USA alone": Row("cusa", {"alpha": 0.0}),
    "cusa, as released": Row("cusa", {"con_reduction": "mean_all"}),
    "crcgs, intra alone": Row("crcgs", {"inter": False}),
    "crcgs, inter alone": Row("crcgs", {"intra": False}),
    "coder, no queue": Row("coder", {"queue": 0}),
    "coder, batch 32": Row("coder", {"queue": 2048}, {"batch_size": 32}),
    "infonce, batch 32": Row("infonce", settings={"batch_size": 32}),
}
MAIN = ("infonce", "crcgs", "coder", "ascl", "cusa", "ascl+cusa")

Where = Annotated[Path, typer.Option(help="Folder of the runs and what was measured of them.")]
Data = Annotated[
    Path | None, typer.Option(help="Folder with flickr8k/, glove200_flickr8k/, mobilenetv2_100/.")
]


@app.command()
def run(
    setting: Annotated[str, typer.Argument(help="picturebook or flickr8k.")],
    out: Where,
    data: Data = None,
    rows: Annotated[
        list[str] | None, typer.Option(help="Rows of the table; by default the six methods.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each row.")] = 3,
    max_steps: Annotated[int | None, typer.Option(help="Another budget, for all rows.")] = None,
) -> None:
    """Train what is missing, seed by seed, and measure it."""
    for seed, name in product(range(seeds), rows or MAIN):
        row, folder = ROWS[name], _folder(out, setting, name) / str(seed)
        if (folder / "measured.npz").exists():
            continue
        settings = _settings(setting, data) | row.settings | {"seed": seed, "options": row.options}
        if max_steps:
            settings["max_steps"] = max_steps
        train(row.method, out=folder, resume=(folder / "state.safetensors").exists(), **settings)
        test = "picturebook:test" if setting == "picturebook" else settings["validation"]
        np.savez(folder / "measured.npz", **measure(folder, test, settings.get("validation_features")))


def _folder(out: Path, setting: str, name: str) -> Path:
    return out / setting / name.replace(",", "").replace(" ", "-")


def _settings(setting: str, data: Path | None) -> dict[str, Any]:
    if setting == "picturebook":
        return PICTUREBOOK
    if setting == "flickr8k" and data is not None:
        settings = settings_of("features", data, Path())
        return {name: value for name, value in settings.items() if name != "out"}
    raise typer.BadParameter(f"{setting!r}: write picturebook, or flickr8k with --data.")


def measure(model: Path, source: str, features: str | None) -> dict[str, np.ndarray]:
    """What the table is made of, query by query: for n images (n,), for their m captions (m,)."""
    encoder, pairs = load_encoder(f"local-dir:{model}", device="cpu"), load_pairs(source)
    if features:
        stored = features_from_file(features, len(pairs)).values
        projected = encoder.project(torch.from_numpy(stored)).detach().numpy()
        images = projected / np.linalg.norm(projected, axis=1, keepdims=True)
    else:
        images = encoder.encode_images(pairs.image(row) for row in range(len(pairs)))
    captions, owner = pairs.flat_captions()
    texts = encoder.encode_texts(captions)
    similarity = images @ texts.T
    t2i, i2t = ranks(similarity, owner)
    distance = _distance(similarity)
    positive = distance[owner, np.arange(len(owner))]
    measured = {
        "owner": owner,
        "words": np.array([len(caption.split()) for caption in captions]),
        "t2i": t2i,
        "i2t": i2t,
        "positive_distance": positive,
        "negative_distance": (distance.sum(0) - positive) / (len(images) - 1),
    }
    same = owner[:, None] == owner[None, :]
    among = texts @ texts.T
    np.fill_diagonal(among, -np.inf)  # a caption does not find itself
    np.fill_diagonal(same, False)
    measured["t2t"] = precision_at_r(among, same)[0]
    if pairs.relevance is not None:
        true = pairs.relevance.matrix()
        measured["t2i_true"] = precision_at_r(similarity.T, true.T)[0]
        measured["i2t_true"] = precision_at_r(similarity, true)[0]
        measured["t2i_first_true"] = true[similarity.argmax(0), np.arange(len(owner))]
    if pairs.labels is not None:
        names = sorted({name for own in pairs.labels for name in own})
        has = np.array([[name in own for name in names] for own in pairs.labels])
        carries = has[owner]
        measured["label_map"] = np.array(
            [label_map(similarity.T, carries, has)["map@all"], label_map(similarity, has, carries)["map@all"]]
        )
    return measured


def _distance(cosine: np.ndarray) -> np.ndarray:
    """Euclidean distance of unit vectors."""
    return np.sqrt(np.maximum(2 - 2 * cosine, 0))


def figures(one: dict[str, np.ndarray], drawn: np.ndarray | None = None) -> dict[str, float]:
    """The columns of the table for one run, over all images or those `drawn` (with repetitions)."""
    n = len(one["i2t"])
    times = np.ones(n) if drawn is None else np.bincount(drawn, minlength=n)
    of_caption = times[one["owner"]]

    def mean(values: np.ndarray, weight: np.ndarray) -> float:
        some = ~np.isnan(values)
        return float(np.average(values[some], weights=weight[some]))

    short = of_caption * (one["words"] <= SHORT)
    result = {
        "rSum": 100
        * sum(mean(one[way] <= k, w) for way, w in (("t2i", of_caption), ("i2t", times)) for k in CUTOFFS),
        "T2I R@1": 100 * mean(one["t2i"] <= 1, of_caption),
        "I2T R@1": 100 * mean(one["i2t"] <= 1, times),
        "short T2I R@10": 100 * mean(one["t2i"] <= 10, short),
        "T2T mAP@R": 100 * mean(one["t2t"], of_caption),
        "positive distance": mean(one["positive_distance"], of_caption),
        "negative distance": mean(one["negative_distance"], of_caption),
    }
    if "t2i_true" in one:
        result |= {
            "T2I mAP@R": 100 * mean(one["t2i_true"], of_caption),
            "I2T mAP@R": 100 * mean(one["i2t_true"], times),
            "short T2I, first is true": 100 * mean(one["t2i_first_true"].astype(float), short),
        }
    if drawn is None and "label_map" in one:
        result |= {"T2I label mAP": one["label_map"][0], "I2T label mAP": one["label_map"][1]}
    return result


@app.command()
def table(
    setting: str, out: Where, draws: Annotated[int, typer.Option(help="Of the bootstrap.")] = 1000
) -> None:
    """Print the table: mean and spread over seeds, and how far each row is from InfoNCE.

    The interval is a paired bootstrap over images, 95 %, of the difference to infonce, both averaged over the
    seeds they share.
    """
    measured = {name: sorted(_folder(out, setting, name).glob("*/measured.npz")) for name in ROWS}
    runs = {name: [dict(np.load(file)) for file in files] for name, files in measured.items() if files}
    if "infonce" not in runs:
        raise typer.BadParameter(f"Nothing was measured in {out / setting}; `run` comes first.")
    base = runs["infonce"]
    n = len(base[0]["i2t"])
    random = np.random.default_rng(0)
    samples = [random.integers(n, size=n) for _ in range(draws)]
    columns = list(figures(base[0]))
    lines = ["| | seeds | " + " | ".join(columns) + " |", "|" + "---|" * (len(columns) + 2)]
    for name, seeds in runs.items():
        each = {column: np.array([figures(one)[column] for one in seeds]) for column in columns}
        gaps = _gaps(seeds, base, samples) if name != "infonce" else {}
        cells = [
            f"{values.mean():.{_digits(column)}f} ± {values.std():.2f}" for column, values in each.items()
        ]
        for index, column in enumerate(columns):
            if column in gaps:
                low, high = np.percentile(gaps[column], [2.5, 97.5])
                cells[index] += f" [{low:+.2f}, {high:+.2f}]"
        lines.append(f"| {name} | {len(seeds)} | " + " | ".join(cells) + " |")
    Console(soft_wrap=True).print("\n".join(lines), markup=False)


def _gaps(
    ours: list[dict[str, np.ndarray]], base: list[dict[str, np.ndarray]], samples: list[np.ndarray]
) -> dict[str, np.ndarray]:
    """Of every column, how far ours is from the base in each sample of images, (draws,)."""
    rows = []
    for drawn in samples:
        pairs = [(figures(one, drawn), figures(other, drawn)) for one, other in zip(ours, base, strict=False)]
        rows.append({column: np.mean([a[column] - b[column] for a, b in pairs]) for column in pairs[0][0]})
    return {column: np.array([row[column] for row in rows]) for column in rows[0]}


def _digits(column: str) -> int:
    return 2 if "distance" in column else 1


if __name__ == "__main__":
    app()
