"""The `pairscope` command: thin, and quick to start, as each command imports what it needs."""

from typing import Any

import typer
from typer.core import TyperGroup

from itr_core.errors import PairscopeError
from ui.cli import analyze, data, demo, evaluate, gallery, train
from ui.cli.hash import hash_codes
from ui.cli.output import print_error


class ErrorHandlingGroup(TyperGroup):
    """Ends with one line on stderr: 2 after bad input, 130 after Ctrl-C."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PairscopeError as error:
            print_error(str(error))
            raise typer.Exit(2) from None
        except KeyboardInterrupt as stop:
            print_error(str(stop) or "Stopped.")
            raise typer.Exit(130) from None


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
    """Run the command that the arguments name."""
    app()
