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

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from ensemble import union
from flickr8k import hold_out, settings_of
from method_metrics import measure
from method_rows import CANDIDATES, MAIN, ROWS, Row, chosen
from rich.console import Console

from itr_core import load_pairs, train
from itr_core.encoders.loading import STARTERS
from itr_core.errors import did_you_mean
from itr_core.metrics.bootstrap import interval, resampled

app = typer.Typer(help=__doc__, no_args_is_help=True)
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
Names = Annotated[list[str] | None, typer.Option("--row", help="Of the table; by default the six methods.")]
JOINED = ", joined"
SHOWN = [*ROWS, *(name + JOINED for name in ROWS)]


@app.command()
def run(
    setting: Setting,
    out: Where,
    data: Data = None,
    row: Names = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each row.")] = 3,
) -> None:
    """Train what is missing, seed by seed, and measure it."""
    for seed, name in product(range(seeds), _rows(row or MAIN)):
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
    if setting == "picturebook":
        settings["measured_on"] = "picturebook:val"
    else:
        settings |= hold_out(settings, out / stage)
        settings["measured_on"] = settings["validation"]
    for method in _rows(row or CANDIDATES, CANDIDATES):
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


@app.command()
def join(setting: Setting, out: Where, data: Data = None, row: Names = None) -> None:
    """Make one model of all trainings of a row of flickr8k; measure it as the row "NAME, joined"."""
    settings = _settings(setting, data)
    for name in _rows(row or MAIN[1:]):
        members = sorted(state.parent for state in _folder(out, setting, name).glob("*/state.safetensors"))
        if not members:
            raise typer.BadParameter(
                f"Nothing of {name!r} was trained in {out / setting}; `run` comes first."
            )
        folder = _folder(out, setting, name + JOINED) / "0"
        _once(partial(union, members, folder), settings, folder)


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

    def trained() -> Path:
        if not row.method:
            return STARTERS / "infonce"
        arguments = settings | row.settings | {"options": row.options, "out": folder, "progress": False}
        del arguments["measured_on"]
        return train(row.method, resume=(folder / "state.safetensors").exists(), **arguments)

    return _once(trained, settings, folder)


def _once(make: Callable[[], Path], settings: dict[str, Any], folder: Path) -> dict[str, np.ndarray]:
    """Return what `measure` finds of the model that `make` makes, and keep it in `folder`."""
    stored = folder / "measured.npz"
    if not stored.exists():
        model, pairs = make(), load_pairs(settings["measured_on"])
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(stored, **measure(model, pairs, settings.get("validation_features")))
    return dict(np.load(stored))


def _rows(names: Iterable[str], known: Collection[str] = ROWS) -> list[str]:
    """The names, if all are known."""
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"There is no row {name!r}.{did_you_mean(name, known)}")
    return [*names]


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
    bases = {name: against or ROWS[name.removesuffix(JOINED)].against for name in _rows(row or MAIN, SHOWN)}
    runs = {name: _runs(out, setting, name) for name in {*bases, *_rows(bases.values(), SHOWN)}}
    names = [name for name in bases if runs[name]]
    if not names:
        raise typer.BadParameter(f"Nothing was measured in {out / setting}; `run` comes first.")
    for columns in TABLES:
        shown = [column for column in columns if any(column in runs[name][0] for name in names)]
        lines = ["| | seeds | " + " | ".join(shown) + " |", "|" + "---|" * (len(shown) + 2)]
        for name in names:
            cells = [_cell(runs[name], runs[bases[name]], column) for column in shown]
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
    image = np.arange(n) if len(gap) == n else ours[0]["image_of_caption"]
    some = ~np.isnan(gap)
    low, high = interval(resampled(gap[some], image[some], n))
    return f"{cell} ({gap[some].mean():+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}])"


if __name__ == "__main__":
    app()
