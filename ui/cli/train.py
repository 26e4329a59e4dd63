"""`pairscope train`: one option for every field of `TrainConfig`."""

import inspect
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from itr_core.system.garbage import without_search
from ui.cli.options import parse_options
from ui.cli.output import print_line
from ui.cli.source_options import Columns, parse_columns


class TrainCommand(TyperCommand):
    """A command whose options are made from `TrainConfig` when they are first needed.

    `pairscope --help` shows none of them, and thus does not wait for the import of pydantic.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of `--out`, `--resume` and all settings."""
        return _complete_command().get_params(ctx)

    def invoke(self, ctx: Any) -> Any:
        """Train with the parsed options."""
        return _complete_command().invoke(ctx)


def train() -> None:
    """Train a dual encoder; the checkpoint is a folder in open_clip's layout."""


@cache
def _complete_command() -> Any:
    """Let typer build the command from a function with one parameter for every option."""

    def run(out: Path, resume: bool, **settings: Any) -> None:
        _run(out, resume, **settings)

    run.__signature__ = inspect.Signature(_parameters())  # type: ignore[attr-defined]  # what typer reads
    app = typer.Typer(add_completion=False)
    app.command()(run)
    return typer.main.get_command(app)


def _run(out: Path, resume: bool, **settings: Any) -> None:
    with without_search():
        from itr_core.training import train as run

    settings |= {
        "columns": parse_columns(settings["columns"]),
        "options": parse_options(settings["options"]),
        "trackers": tuple(settings["trackers"]),
        "exclude": tuple(settings["exclude"]),
        "validation_columns": parse_columns(settings["validation_columns"]),
    }
    run(out=out, resume=resume, **settings)
    print_line(f"Trained {out}. Try: pairscope evaluate --model {out} --source {settings['source']}")


def _parameters() -> list[inspect.Parameter]:
    """Return `out`, `resume` and every setting, with its type, default and description."""
    from itr_core.training.config import TrainConfig, value_range

    parameters = [
        _parameter("out", Annotated[Path, typer.Option(help="Folder of the checkpoint.")]),
        _parameter(
            "resume",
            Annotated[bool, typer.Option("--resume", help="Continue the run that was stopped in --out.")],
            False,
        ),
    ]
    for name, field in TrainConfig.model_fields.items():
        limits = value_range(name)
        text = f"{field.description} Range: {limits}." if limits else str(field.description)
        annotation: Any = field.annotation
        default = inspect.Parameter.empty if field.is_required() else field.default
        if name in ("options", "trackers", "exclude"):  # repeated on the command line
            annotation, default = list[str], []
        option = typer.Option(help=" ".join(text.split()))
        annotation = Columns if name.endswith("columns") else Annotated[annotation, option]
        parameters.append(_parameter(name, annotation, default))
    return parameters


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
