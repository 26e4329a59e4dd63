"""`pairscope train`."""

import ast
import inspect
from dataclasses import MISSING, Field, fields
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from itr_core.training.config import TrainConfig
from ui.cli.options import Columns, parse_columns, parse_options


def _train_options() -> list[inspect.Parameter]:
    """One option for every field of TrainConfig, with its type, default and description."""
    body = ast.parse(inspect.getsource(TrainConfig)).body[0].body  # type: ignore[attr-defined]
    described = [each for each in pairwise(body) if isinstance(each[0], ast.AnnAssign)]
    help_of = {ast.unparse(field.target): ast.literal_eval(text.value) for field, text in described}
    hints = get_type_hints(TrainConfig) | {"trackers": list[str], "options": list[str]}
    options = []
    for field in fields(TrainConfig):
        option = typer.Option(help=" ".join(help_of[field.name].split()))
        options.append(
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=_default(field),
                annotation=Columns if field.name == "columns" else Annotated[hints[field.name], option],
            )
        )
    return options


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return []
    return inspect.Parameter.empty if field.default is MISSING else field.default


def train(
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that was stopped in --out.")
    ] = False,
    **settings: Any,
) -> None:
    """Train a dual encoder; the checkpoint is a folder in open_clip's layout."""
    from itr_core.training import train as run

    settings |= {"columns": parse_columns(settings["columns"]), "trackers": tuple(settings["trackers"])}
    settings |= {"options": parse_options(settings["options"])}
    run(out=out, resume=resume, **settings)
    typer.echo(f"Trained {out}. Try: pairscope evaluate --model {out} --source {settings['source']}")


_own = inspect.signature(train).parameters
train.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [p.replace(kind=p.KEYWORD_ONLY) for p in (_own["out"], _own["resume"])] + _train_options()
)
