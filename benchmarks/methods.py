"""Compare the methods under equal conditions: the same start, data, budget and seeds for every row.

    python benchmarks/methods.py select features --data DATA --out runs/methods
    python benchmarks/methods.py run features --data DATA --out runs/methods
    python benchmarks/methods.py table features --out runs/methods

`select` trains three candidates of every method and chooses one by its rSum on validation data. `run` trains
all rows with the chosen options; their last weights are measured on data that chose nothing. Both continue
where they were stopped, and may run at once for different rows or seeds on several machines, if their folders
--out are joined afterwards.
"""

from collections.abc import Collection, Iterable
from itertools import product
from pathlib import Path
from typing import Annotated

import typer
from method_metrics import COLUMNS
from method_rows import CANDIDATES, MOST_TRAININGS, ROWS, Row, baseline, row_of
from method_runs import CRITERION, MissingError, Trainings
from method_settings import Setting
from method_tables import METRICS, commands, measurement, table_of, tables_of
from reporting import ResultsOption, report
from result_tables import markdown_table
from results import Column, Table
from results import Row as TableRow

from itr_core.errors import did_you_mean

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)

SettingArgument = Annotated[
    Setting,
    typer.Argument(
        help="picturebook: train a small network on Picturebook from random weights; pixels: train two "
        "pretrained towers on Flickr8k photos, for which a GPU is needed; features: train a text tower and a "
        "projection on features of Flickr8k photos."
    ),
]
Out = Annotated[Path, typer.Option(help="Folder of the trainings and of what was measured of them.")]
Data = Annotated[
    Path | None,
    typer.Option(
        help="For features and pixels: folder with flickr8k/, mobilenetv2_100/, and for features "
        "glove200_flickr8k/, for pixels minilm/ (the sentence encoder all-MiniLM-L6-v2)."
    ),
]
Seeds = Annotated[int, typer.Option(min=1, max=MOST_TRAININGS, help="Trainings of each row or candidate.")]
OneSeed = Annotated[
    list[int] | None,
    typer.Option("--seed", min=0, max=MOST_TRAININGS - 1, help="Only the training of this seed; repeatable."),
]


@app.command()
def select(
    setting: SettingArgument,
    out: Out,
    data: Data = None,
    row: Annotated[
        list[str] | None,
        typer.Option("--row", help="Method of the candidates; repeat for several. Default: all methods."),
    ] = None,
    seeds: Seeds = 2,
    seed: OneSeed = None,
    results: ResultsOption = None,
) -> None:
    """Train every candidate of `method_rows.CANDIDATES`, measure it on validation data, show which is chosen.

    These are the val split of Picturebook, and photos held out of the training split of Flickr8k.
    """
    trainings, folder = Trainings(setting, out), _data(setting, data)
    methods = _checked(row or CANDIDATES, CANDIDATES)
    candidates = [each for method in methods for each in CANDIDATES[method]]
    for number, each in product(seed or range(seeds), candidates):
        typer.echo(f"{each.title}, seed {number}")
        trainings.measure(each.upon(Row(each.method)), number, "validation", folder)
    if row or seed:
        return
    table = _selection(trainings)
    notes = [f"Trainings of each candidate: {seeds}. The candidate with the highest mean rSum is chosen."]
    report(f"methods_{setting}_selection", {"validation": table}, results, notes)


@app.command()
def run(
    setting: SettingArgument,
    out: Out,
    data: Data = None,
    row: Annotated[
        list[str] | None,
        typer.Option("--row", help="Only this row of method_rows.py; repeat for several. Default: all."),
    ] = None,
    seeds: Seeds = 5,
    seed: OneSeed = None,
) -> None:
    """Train the rows with the chosen options, seed by seed, and measure them on the reported data."""
    trainings, folder = Trainings(setting, out), _data(setting, data)
    names = _checked(row or ROWS, ROWS)
    choices = _choices(trainings)
    for number, name in product(seed or range(seeds), names):
        typer.echo(f"{name}, seed {number}")
        trainings.measure(row_of(name, choices), number, "reported", folder)


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

    The interval is over images and trainings, 95 %; both rows are measured on the same images after trainings
    with the same seeds. With --results all rows are written, so it excludes --row and --against.
    """
    if results is not None and (row or against):
        raise typer.BadParameter("--results writes all rows; leave out --row and --against.")
    if against and not row:
        raise typer.BadParameter("--against compares the rows given by --row; name at least one.")
    names = _checked([*(row or ROWS), *([against] if against else [])], ROWS)
    trainings = Trainings(setting, out)
    choices = _choices(trainings)
    runs = trainings.rows(choices)
    names = [name for name in (row or names) if name in runs]
    if not names:
        raise typer.BadParameter(f"Nothing was measured in {trainings.out}; start with `run`.")
    if missing := {baseline(name) for name in names} - runs.keys():
        raise typer.BadParameter(f"The baseline {missing.pop()!r} was not measured; start it with `run`.")
    if not row:
        notes = [
            "Mean ± standard deviation over seeds; in brackets the difference to the baseline, 95 %, over "
            "images and seeds (over images alone with one seed)."
        ]
        row_commands = {name: commands(setting, name, choices) for name in names}
        report(f"methods_{setting}", tables_of(runs), results, notes, row_commands=row_commands)
        return
    for metrics in METRICS.values():
        if part := table_of(names, metrics, runs, against):
            typer.echo(markdown_table(part) + "\n")


def _selection(trainings: Trainings) -> Table:
    """Return the table of all candidates, with the chosen one of each method."""
    choices = _choices(trainings)
    rows = []
    for candidate in (each for candidates in CANDIDATES.values() for each in candidates):
        runs = trainings.measured(candidate.upon(Row(candidate.method)), "validation")
        cells = {"chosen": "yes" if candidate in choices.values() else ""}
        rows.append(
            TableRow(title=candidate.title, cells=cells | {CRITERION: measurement(runs, {}, CRITERION)})
        )
    columns = {"chosen": Column(title="chosen"), CRITERION: COLUMNS[CRITERION]}
    return Table(title="candidate", columns=columns, rows=rows)


def _choices(trainings: Trainings) -> dict[str, Row]:
    try:
        return trainings.choices()
    except MissingError as error:
        raise typer.BadParameter(str(error)) from None


def _data(setting: Setting, data: Path | None) -> Path:
    """Return the folder of the data; raise BadParameter if the setting needs one and none is given."""
    if setting != "picturebook" and data is None:
        raise typer.BadParameter(f"{setting} needs the folder of its files: give it by --data.")
    return data or Path()


def _checked(names: Iterable[str], known: Collection[str]) -> list[str]:
    """Return the names; raise BadParameter for one that is not known."""
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"There is no row {name!r}.{did_you_mean(name, known)}")
    return [*names]


if __name__ == "__main__":
    app()
