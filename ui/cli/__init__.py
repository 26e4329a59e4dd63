"""The `pairscope` command. Each command imports what it needs, so that the others start quickly."""

import atexit
import gc
import os
import re
from typing import Any

import typer
from typer.core import TyperGroup

from ui.cli import analyze, data, demo, evaluate, gallery, index, publish, report_card, train
from ui.cli.export import export
from ui.cli.hash import hash_codes
from ui.cli.output import exit_on_error, keep_bars_out_of_files


class ErrorHandlingGroup(TyperGroup):
    """A group of commands that ends with one line on stderr instead of a traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Expand `~`, which shells do not expand in `--out=~/x` and `folder:~/x`, and parse the arguments."""
        return super().parse_args(
            ctx, [re.sub(r"^(--[\w-]+=)?([\w-]+:)?~(?=/|$)", _with_home, arg) for arg in args]
        )

    def invoke(self, ctx: Any) -> Any:
        """Run the command; see `exit_on_error` for the exit codes."""
        with exit_on_error():
            return super().invoke(ctx)


app = typer.Typer(
    name="pairscope",
    cls=ErrorHandlingGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Search pictures with words and words with pictures, and see why it works and where it fails.",
)


app.command()(demo.demo)
app.add_typer(data.app, name="data")
app.command(cls=train.TrainCommand)(train.train)
app.command()(gallery.build)
app.command()(gallery.update)
app.command()(gallery.search)
app.command()(index.index)
app.command()(evaluate.evaluate)
app.command()(export)
app.command()(analyze.analyze)
app.command()(report_card.report_card)
app.command("hash")(hash_codes)
app.add_typer(publish.app, name="publish")


def _with_home(match: re.Match[str]) -> str:
    return f"{match[1] or ''}{match[2] or ''}{os.path.expanduser('~')}"


def main() -> None:
    """Run the command of the process's arguments."""
    keep_bars_out_of_files()
    atexit.register(gc.freeze)  # else Python deletes a million objects one by one, which takes a second
    app()
