"""Output of the commands: JSON and tables on stdout; progress, warnings and errors on stderr."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from itr_core.errors import PairscopeError
from itr_core.system.progress import Progress


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn errors into one line on stderr and an exit code: 2 for invalid input, 130 for Ctrl-C."""
    try:
        yield
    except PairscopeError as error:
        print_error(str(error))
        raise SystemExit(2) from None
    except KeyboardInterrupt as interrupt:
        print_error(str(interrupt) or "Stopped.")
        raise SystemExit(130) from None


def print_error(message: str) -> None:
    """Print a red line on stderr."""
    typer.secho(message, fg="red", err=True)


def print_warning(message: str) -> None:
    """Print a yellow line on stderr."""
    typer.secho(message, fg="yellow", err=True)


def print_json(value: Any) -> None:
    """Print a JSON value; it must be the only output on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on stdout, without a header if no column has a name."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=Text(title), title_justify="left", show_header=any(columns))
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row))  # Text: captions may hold [brackets]
    Console().print(table)


def report_skipped(skipped: Iterable[str]) -> None:
    """Print the skipped images and lines, each with the reason, and their number on stderr."""
    lines = list(skipped)
    for line in lines:
        print_warning(f"skipped {line}")
    if lines:
        print_warning(f"{len(lines)} {'image or line' if len(lines) == 1 else 'images or lines'} skipped")


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """Show a progress bar on stderr while the block runs; yield the function that updates it."""
    from rich import progress as bars
    from rich.console import Console

    columns = bars.TextColumn(title), bars.BarColumn(), bars.MofNCompleteColumn(), bars.TimeRemainingColumn()
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
