"""`pairscope train` and `pairscope evaluate`."""

import ast
import inspect
from dataclasses import MISSING, Field, fields
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from itr_core.train_config import TrainConfig
from ui.terminal.out import (
    SOURCE_HELP,
    Columns,
    Device,
    ImageRoot,
    Json,
    Limit,
    Model,
    open_source,
    parse_columns,
    parse_options,
    print_json,
    print_table,
    report_skipped,
)


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


def evaluate(
    model: Model,
    source: Annotated[str, typer.Option(help=SOURCE_HELP)],
    columns: Columns = None,
    image_root: ImageRoot = None,
    limit: Limit = None,
    rerank: Annotated[
        bool,
        typer.Option("--rerank", help="Measure search in two steps, too, as `search --rerank` does it."),
    ] = False,
    u1: Annotated[float, typer.Option(help="Weight of the second step beside the cosine, 0 to 1.")] = 0.8,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Measure retrieval in both directions: recall at 1, 5 and 10, median rank, rSum."""
    from itr_core.encoder import load_encoder
    from itr_core.evaluation import evaluate as measure

    pairs = open_source(source, columns, image_root, limit)
    figures = measure(load_encoder(model, device=device), pairs, rerank=u1 if rerank else None)
    if as_json:
        print_json(figures)
        return
    ways = {"t2i": "T2I: captions find images", "i2t": "I2T: images find captions"}
    if rerank:
        ways |= {f"reranked_{way}": f"{name}, the 100 best by u1={u1:g}" for way, name in ways.items()}
    print_table(
        f"{figures['model']} on {figures['source']}: "
        f"{figures['n_images']:,} images, {figures['n_captions']:,} captions",
        ("", "R@1", "R@5", "R@10", "median rank"),
        [
            (name, *(f"{figures[f'{key}_r{k}']:.1f}" for k in (1, 5, 10)), f"{figures[f'{key}_medr']:g}")
            for key, name in ways.items()
        ],
    )
    again = f", with the second step {figures['reranked_rsum']:.1f}" if rerank else ""
    typer.echo(f"rSum {figures['rsum']:.1f} of 600{again}")
    report_skipped(figures["skipped"])
