"""Compare the methods on the same footing: the same start, data, budget and seeds for every row.

    python benchmarks/methods.py select picturebook --out runs/methods
    python benchmarks/methods.py run picturebook --out runs/methods
    python benchmarks/methods.py run flickr8k --data DATA --out runs/methods
    python benchmarks/methods.py join flickr8k --data DATA --out runs/methods
    python benchmarks/methods.py table picturebook --out runs/methods

What is done is not done again. `picturebook` goes on from starter:infonce, its image trunk run only once; the
last weights are measured on the test split, whose truth is exact. `flickr8k` trains on features of real
photos (see flickr8k.py) and is measured on the dev split, which also selects the epoch. `select` shows what
the candidate options of each method give on validation, for choosing those of method_rows.py; for Flickr8k
that is a part of the training photos, held out. `join` makes one model of all trainings of a row. `table`
prints Markdown, with intervals.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from datasets import Dataset
from flickr8k import settings_of
from method_measures import measure
from method_rows import CANDIDATES, MAIN, ROWS, Row, chosen
from rich.console import Console
from safetensors.torch import load_file, save_file
from union import union

from itr_core import load_pairs, train
from itr_core.errors import did_you_mean
from itr_core.significance import interval, resampled
from itr_core.specs import STARTERS

app = typer.Typer(help=__doc__, no_args_is_help=True)
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


Setting = Annotated[str, typer.Argument(help="picturebook or flickr8k.")]
Where = Annotated[Path, typer.Option(help="Folder of the runs and what was measured of them.")]
Data = Annotated[
    Path | None, typer.Option(help="Folder with flickr8k/, glove200_flickr8k/, mobilenetv2_100/.")
]
JOINED = ", joined"


def _rows(names: list[str] | None) -> list[str] | None:
    for name in names or ():
        if name.removesuffix(JOINED) not in ROWS:
            raise typer.BadParameter(f"There is no row {name!r}.{did_you_mean(name, ROWS)}")
    return names


Names = Annotated[
    list[str] | None,
    typer.Option("--row", callback=_rows, help="Of the table; by default the six methods."),
]


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
    row: Names = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each candidate.")] = 2,
) -> None:
    """Train every candidate and print what it gives on validation, a line each."""
    settings = _settings(setting, data)
    stage = f"{setting}-validation"
    settings |= {"measured_on": "picturebook:val"} if data is None else hold_out(data, out / stage)
    for method in row or CANDIDATES:
        for options in CANDIDATES.get(method, []):
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
    """Make one model of all trainings of a row of flickr8k; measure it as the row "NAME, joined"."""
    settings = _settings(setting, data)
    for name in row or MAIN[1:]:
        folder = _folder(out, setting, name + JOINED)
        members = sorted(state.parent for state in _folder(out, setting, name).glob("*/state.safetensors"))
        if not members:
            raise typer.BadParameter(
                f"Nothing of {name!r} was trained in {out / setting}; `run` comes first."
            )
        if not (folder / "0" / "measured.npz").exists():
            model = union(members, folder / "0")
            figures = measure(model, load_pairs(settings["measured_on"]), settings.get("validation_features"))
            np.savez(folder / "0" / "measured.npz", **figures)


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
    runs = {name: _runs(out, setting, name) for name in {*ROWS, *(row or ())}}
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
