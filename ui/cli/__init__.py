"""The `pairscope` command. Each command imports what it needs, so that the others start quickly."""

from typing import Any

import typer
from typer.core import TyperGroup

from ui.cli import analyze, data, demo, evaluate, gallery, train
from ui.cli.hash import hash_codes
from ui.cli.output import exit_on_error


class ErrorHandlingGroup(TyperGroup):
    """A group of commands that ends with one line on stderr instead of a traceback."""

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
app.command()(gallery.search)
app.command()(evaluate.evaluate)
app.command()(analyze.analyze)
app.command("hash")(hash_codes)


def main() -> None:
    """Run the command of the process's arguments."""
    app()
