"""The `pairscope` command: thin, and quick to start, as each command imports what it needs."""

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from itr_core.errors import PairscopeError
from ui.terminal import analyze, data, evaluation, galleries, hashing, models
from ui.terminal.out import complain


class _Polite(TyperGroup):
    """Ends with one line on stderr: 2 after bad input, 130 after Ctrl-C."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PairscopeError as error:
            complain(str(error))
            raise typer.Exit(2) from None
        except KeyboardInterrupt as stop:
            complain(str(stop) or "Stopped.")
            raise typer.Exit(130) from None


app = typer.Typer(
    name="pairscope",
    cls=_Polite,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Search pictures with words and words with pictures, and see why it works and where it fails.",
)


@app.command()
def demo(
    gallery: Annotated[
        list[str] | None,
        typer.Option(help="A gallery folder, or a source to build one of; repeat for several."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model spec for sources.")] = None,
    host: Annotated[str, typer.Option(help="Interface to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port.")] = 7860,
) -> None:
    """Serve the app in the browser."""
    typer.echo(f"Pairscope is at http://{host}:{port}", err=True)
    import_module("app").launch(gallery, model, host, port)  # by name: the front door is above this room


app.add_typer(data.app, name="data")
app.command()(models.train)
app.command()(galleries.build)
app.command()(galleries.search)
app.command()(evaluation.evaluate)
app.command()(analyze.analyze)
app.command("hash")(hashing.hash_codes)


def main() -> None:
    """Run the command that the arguments name."""
    app()
