"""Compare the methods under equal conditions: the same start, data, budget and seeds for every row.

    python benchmarks/methods.py select picturebook --out runs/methods
    python benchmarks/methods.py run picturebook --out runs/methods
    python benchmarks/methods.py run flickr8k --data DATA --out runs/methods
    python benchmarks/methods.py merge flickr8k --data DATA --out runs/methods
    python benchmarks/methods.py table picturebook --out runs/methods

`picturebook` continues starter:infonce on cached features of its image trunk; the last weights are measured
on the test split, whose relevance is exact. `flickr8k` trains on features of real photos (see flickr8k.py)
and is measured on the dev split, which also selects the epoch. What is already in the folder --out is not
trained or measured again.
"""

from collections.abc import Callable, Collection, Iterable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from ensemble import merge as merge_checkpoints
from flickr8k import hold_out
from method_metrics import COLUMNS, Queries, measure
from method_rows import (
    ALL_ROWS,
    CANDIDATES,
    CHOSEN,
    ENSEMBLE,
    FIXED,
    ROWS,
    Row,
    Setting,
    baseline,
    chosen,
    main_rows,
)
from method_tables import METRICS, Runs, commands, table_of, tables_of, train_settings
from reporting import ResultsOption, report
from result_tables import markdown_table
from results import Column, Table
from results import Row as TableRow

from itr_core import load_pairs, train
from itr_core.encoders.loading import STARTERS
from itr_core.errors import did_you_mean

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)

SettingArgument = Annotated[
    Setting,
    typer.Argument(
        help="picturebook: continue starter:infonce on Picturebook; flickr8k: train on features of Flickr8k "
        "photos from random weights."
    ),
]
Out = Annotated[Path, typer.Option(help="Folder of the runs and of what was measured of them.")]
Data = Annotated[
    Path | None,
    typer.Option(help="For flickr8k: folder with flickr8k/, glove200_flickr8k/ and mobilenetv2_100/."),
]
RowNames = Annotated[
    list[str] | None,
    typer.Option("--row", help="Row of method_rows.py; repeat for several. Default: the methods."),
]


@app.command()
def run(
    setting: SettingArgument,
    out: Out,
    data: Data = None,
    row: RowNames = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each row.")] = 3,
) -> None:
    """Train what is missing, seed by seed, and measure it."""
    settings = _settings(setting, data)
    for seed, name in product(range(seeds), _checked(row or main_rows(setting), ROWS)):
        if ROWS[name].method or (setting == "picturebook" and not seed):
            typer.echo(f"{name}, seed {seed}")
            folder = _folder(out, setting, name) / str(seed)
            _train_and_measure(chosen(setting, name), settings | {"seed": seed}, folder)


@app.command()
def select(
    setting: SettingArgument,
    out: Out,
    data: Data = None,
    row: Annotated[
        list[str] | None,
        typer.Option(help="Method of the candidates; repeat for several. Default: all methods."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each candidate.")] = 2,
    results: ResultsOption = None,
) -> None:
    """Train every candidate of `method_rows.CANDIDATES` and measure it on validation data.

    These are the val split of Picturebook, and photos held out of the training split of Flickr8k.
    """
    settings = _settings(setting, data)
    stage = f"{setting}-validation"
    if setting == "picturebook":
        settings["measured_on"] = "picturebook:val"
    else:
        settings |= hold_out(settings, out / stage)
        settings["measured_on"] = settings["validation"]
    metrics = [*METRICS["recall"], *METRICS["precision"]]
    rows, measured = [], set[str]()
    for method in _checked(row or CANDIDATES, CANDIDATES):
        for options in CANDIDATES[method]:
            name = " ".join([method, *(f"{option}={value}" for option, value in options.items())])
            typer.echo(name)
            runs = [
                _train_and_measure(
                    Row(method, FIXED.get(method, {}) | options),
                    settings | {"seed": seed},
                    _folder(out, stage, name) / str(seed),
                )
                for seed in range(seeds)
            ]
            known = [metric for metric in metrics if metric in runs[0]]
            measured.update(known)
            means = {
                metric: float(np.mean([np.nanmean(of_seed[metric]) for of_seed in runs])) for metric in known
            }
            is_chosen = options == CHOSEN[setting].get(method, {})
            rows.append(TableRow(title=name, cells={"chosen": "yes" if is_chosen else "", **means}))
    columns = {"chosen": Column(title="chosen")} | {
        metric: COLUMNS[metric] for metric in metrics if metric in measured
    }
    table = Table(title="candidate", columns=columns, rows=rows)
    notes = [f"Trainings of each candidate: {seeds}."]
    report(f"methods_{setting}_selection", {"validation": table}, results, notes)


@app.command()
def merge(setting: SettingArgument, out: Out, data: Data = None, row: RowNames = None) -> None:
    """Merge all trainings of a row of flickr8k into one model; measure it as the row "NAME, ensemble"."""
    settings = _settings(setting, data)
    for name in _checked(row or main_rows(setting)[1:], ROWS):
        members = sorted(state.parent for state in _folder(out, setting, name).glob("*/state.safetensors"))
        if not members:
            raise typer.BadParameter(
                f"There is no training of {name!r} in {out / setting}; start it with `run`."
            )
        folder = _folder(out, setting, name + ENSEMBLE) / "0"
        _measure_once(partial(merge_checkpoints, members, folder), settings, folder)


@app.command()
def table(
    setting: SettingArgument,
    out: Out,
    row: Annotated[
        list[str] | None, typer.Option(help="Print only this row; repeat for several. Default: all measured.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Row to compare the given rows with. Default: the baseline of each.")
    ] = None,
    results: ResultsOption = None,
) -> None:
    """Print the tables: mean and spread over seeds, and the difference to a baseline with its interval.

    The interval is a paired bootstrap over images, 95 %, of two rows that are both averaged over the seeds
    that they share. With --results all rows are written, so it excludes --row and --against.
    """
    if results is not None and (row or against):
        raise typer.BadParameter("--results writes all rows; leave out --row and --against.")
    if against and not row:
        raise typer.BadParameter("--against compares the rows given by --row; name at least one.")
    names = _checked(row or ALL_ROWS, ALL_ROWS)
    bases = [baseline(name) for name in names] + _checked([against] if against else [], ALL_ROWS)
    runs = {name: found for name in dict.fromkeys([*names, *bases]) if (found := _runs(out, setting, name))}
    names = [name for name in names if name in runs]
    if not names:
        raise typer.BadParameter(f"Nothing was measured in {out / setting}; start with `run`.")
    if not row:
        notes = ["Mean ± standard deviation over seeds; in brackets the difference to the baseline, 95 %."]
        row_commands = {name: commands(setting, name) for name in names}
        report(f"methods_{setting}", tables_of(setting, runs), results, notes, row_commands=row_commands)
        return
    for metrics in METRICS.values():
        if part := table_of(names, metrics, runs, against):
            typer.echo(markdown_table(part) + "\n")


def _runs(out: Path, setting: Setting, name: str) -> Runs:
    return [dict(np.load(file)) for file in sorted(_folder(out, setting, name).glob("*/measured.npz"))]


def _folder(out: Path, stage: str, name: str) -> Path:
    return out / stage / name.replace(",", "").replace(" ", "-")


def _settings(setting: Setting, data: Path | None) -> dict[str, Any]:
    """Return the arguments of `train` and `measured_on`, the source to measure on."""
    if setting == "flickr8k" and data is None:
        raise typer.BadParameter("flickr8k needs the folder of its files: give it by --data.")
    settings = train_settings(setting, data)
    return settings | {"measured_on": settings.get("validation", "picturebook:test")}


def _train_and_measure(row: Row, settings: dict[str, Any], folder: Path) -> Queries:
    """Train a row unless it has been trained, and return what `measure` found."""

    def trained() -> Path:
        if not row.method:
            return STARTERS / "infonce"
        arguments = settings | row.settings | {"options": row.options, "out": folder, "progress": False}
        del arguments["measured_on"]
        return train(row.method, resume=(folder / "state.safetensors").exists(), **arguments)

    return _measure_once(trained, settings, folder)


def _measure_once(make: Callable[[], Path], settings: dict[str, Any], folder: Path) -> Queries:
    """Measure the model that `make` returns and store the figures in `folder`, or read them from there."""
    stored = folder / "measured.npz"
    if not stored.exists():
        model, pairs = make(), load_pairs(settings["measured_on"])
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {**measure(model, pairs, settings.get("validation_features"))}
        np.savez(stored, **arrays)
    return dict(np.load(stored))


def _checked(names: Iterable[str], known: Collection[str]) -> list[str]:
    """Return the names; raise BadParameter for one that is not known."""
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"There is no row {name!r}.{did_you_mean(name, known)}")
    return [*names]


if __name__ == "__main__":
    app()
