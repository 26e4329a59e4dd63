"""How a benchmark command ends: it prints its tables and, if asked to, writes them as a result file."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from provenance import OtherWork, command_line, machine, versions
from result_tables import markdown_table
from results import Result, Table, save

from itr_core.system.provenance import code_version

OTHER_WORK = OtherWork()
"""Measures from the import of this module, which is the start of a benchmark."""

ResultsOption = Annotated[
    Path | None,
    typer.Option(
        "--results",
        metavar="DIR",
        help="Also write the figures to DIR/NAME.json. `--results benchmarks/results` replaces the published "
        "figures; run `python benchmarks/render.py` afterwards.",
    ),
]


def report(
    name: str,
    tables: Mapping[str, Table],
    folder: Path | None,
    notes: Sequence[str] = (),
    *,
    first: Sequence[str] = (),
    row_commands: Mapping[str, list[str]] | None = None,
) -> Result:
    """Print the tables of a benchmark that has just run and, with a folder, write them as a result.

    Args:
        name: name of the result file, without its extension.
        tables: what was measured.
        folder: value of the option `--results`; None writes nothing.
        notes: see `Result`.
        first: commands that must run before this one, such as those that build its galleries.
        row_commands: see `Result`.

    Returns:
        The result, with the command line, date, machine and versions of this process.
    """
    result = Result(
        commands=[*first, command_line()],
        date=datetime.now(UTC).replace(microsecond=0),
        machine=machine(),
        versions=versions(),
        code=code_version(),
        other_work=OTHER_WORK.cores(),
        notes=[*notes],
        row_commands={**(row_commands or {})},
        tables={**tables},
    )
    for table in result.tables.values():
        typer.echo(markdown_table(table) + "\n")
    for note in notes:
        typer.echo(note)
    if folder is not None:
        typer.echo(f"Wrote {save(name, result, folder)}")
    return result
