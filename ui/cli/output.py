"""Output of the commands: JSON and tables on stdout; progress, warnings and errors on stderr."""

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from itr_core.errors import DISK_FULL, NOT_ALLOWED, PairscopeError
from itr_core.system.progress import Progress


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn errors into one line on stderr and an exit code: 2 for invalid input, 130 for Ctrl-C."""
    try:
        yield
    except PairscopeError as error:
        print_error(str(error))
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno not in DISK_FULL | NOT_ALLOWED:
            raise
        print_error(f"{error.filename or 'A file'}: {error.strerror}.")
        raise SystemExit(2) from None
    except KeyboardInterrupt as interrupt:
        print_error(str(interrupt) or "Stopped.")
        raise SystemExit(130) from None


def keep_bars_out_of_files() -> None:
    """Switch off the progress bars of libraries unless stderr is a terminal, before these are imported."""
    if not sys.stderr.isatty():
        for library in ("DATASETS", "HUB"):
            os.environ.setdefault(f"HF_{library}_DISABLE_PROGRESS_BARS", "1")


# Control characters except tab and line feed, and the characters that reverse the direction of text. They
# work on the terminal, and captions, file names and ids come from anyone.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return a text in which characters that control a terminal are escaped as in JSON.

    >>> print(printable("red\x1b[31m ball"))
    red\u001b[31m ball
    """
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class PrintableFormatter(logging.Formatter):
    """Formats log records as `printable` text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return printable(super().format(record))


def print_error(message: str) -> None:
    """Print a red line on stderr."""
    typer.secho(printable(message), fg="red", err=True)


def print_warning(message: str) -> None:
    """Print a yellow line on stderr."""
    typer.secho(printable(message), fg="yellow", err=True)


def print_line(message: object) -> None:
    """Print a line on stdout."""
    typer.echo(printable(str(message)))


def print_json(value: Any) -> None:
    """Print a JSON value; it must be the only output on stdout."""
    print_line(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on stdout, without a header if no column has a name."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    def text(value: object) -> Text:
        return Text(printable(str(value)))  # Text: captions may hold [brackets]

    headers = [Column(text(name)) for name in columns]
    table = Table(*headers, title=text(title), title_justify="left", show_header=any(columns))
    for row in rows:
        table.add_row(*map(text, row))
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
