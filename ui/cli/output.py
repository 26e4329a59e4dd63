"""What the commands print: JSON and tables on stdout, progress and errors on stderr."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from itr_core.system.progress import Progress


def print_error(message: str) -> None:
    """One red line on stderr."""
    typer.secho(message, fg="red", err=True)


def print_json(value: Any) -> None:
    """The whole of stdout, as one JSON value."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout; its header is left out where all columns are nameless."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=Text(title), title_justify="left", show_header=any(columns))
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row))  # Text: captions may hold [brackets]
    Console().print(table)


def report_skipped(skipped: Iterable[str]) -> None:
    """List the images that were left out and why, with their count, on stderr."""
    lines = list(skipped)
    for line in lines:
        typer.secho(f"left out {line}", fg="yellow", err=True)
    if lines:
        typer.secho(f"{len(lines)} images left out", fg="yellow", err=True)


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """A bar on stderr, as a function of (done, total)."""
    from rich import progress as bars
    from rich.console import Console

    columns = bars.TextColumn(title), bars.BarColumn(), bars.MofNCompleteColumn(), bars.TimeRemainingColumn()
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
