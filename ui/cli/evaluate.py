"""`pairscope evaluate`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ui.cli.options import (
    MODEL_HELP,
    SOURCE_HELP,
    Columns,
    Device,
    ImageRoot,
    Json,
    Limit,
    Model,
    open_source,
)
from ui.cli.output import print_json, print_table, report_skipped

PROTOCOL_HELP = (
    "What is right. standard: the given pairs; coco-1k: these in five folds of 1,000 images; exact: all that "
    "is true (Picturebook); uni-modal: images find images, captions captions; labels: what shares a label; "
    "eccv, cxc: ECCV Caption and CxC on COCO's test split. Repeat for several."
)
TITLES = {
    "standard": "Right: the given pairs",
    "reranked": "The same, the 100 best ranked again",
    "coco-1k": "Right: the given pairs, in five folds of 1,000 images",
    "exact": "Right: all that is true",
    "uni-modal": "Like finds like",
    "labels": "Right: what shares a label",
    "eccv": "Right: ECCV Caption",
    "cxc": "Right: CxC",
    "judgments": "Agreement with expert judgments",
    "sts": "Agreement with scored pairs of texts",
}


def evaluate(
    model: Model,
    source: Annotated[str, typer.Option(help=SOURCE_HELP)],
    protocol: Annotated[list[str] | None, typer.Option(help=PROTOCOL_HELP, show_default="standard")] = None,
    against: Annotated[
        str | None, typer.Option(help=f"Another model to compare with, query by query: {MODEL_HELP}")
    ] = None,
    judgments: Annotated[
        Path | None, typer.Option(help="Flickr8k's ExpertAnnotations.txt; how well scores agree with it.")
    ] = None,
    sts: Annotated[
        Path | None, typer.Option(help="File of lines TEXT <tab> TEXT <tab> SCORE; rank correlation with it.")
    ] = None,
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
    out: Annotated[Path | None, typer.Option(help="Write the JSON into a file, too.")] = None,
) -> None:
    """Measure retrieval in both directions, each figure with its 95 % interval over images."""
    from itr_core.encoders.dual_encoder import load_encoder
    from itr_core.evaluation import evaluate as measure
    from itr_core.system.files import whole_file

    if out:
        out.parent.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    figures = measure(
        load_encoder(model, device=device),
        open_source(source, columns, image_root, limit),
        protocols=protocol or ["standard"],
        rerank=u1 if rerank else None,
        judgments=judgments,
        sts=sts,
        against=load_encoder(against, device=device) if against else None,
    )
    if out:
        with whole_file(out) as part:
            part.write_text(json.dumps(figures, indent=2, ensure_ascii=False))
    if as_json:
        print_json(figures)
        return
    typer.echo(
        f"{figures['model']} on {figures['source']}: "
        f"{figures['n_images']:,} images, {figures['n_captions']:,} captions; [95 % interval over images]"
    )
    if against:
        typer.echo(f"against {figures['rows'][0]['against']}")
    for name in dict.fromkeys(row["protocol"] for row in figures["rows"]):
        rows = [row for row in figures["rows"] if row["protocol"] == name]
        if against:
            header = "", "value", "against", "difference", "p"
            print_table(TITLES[name], header, [_compared(row) for row in rows])
        else:
            _print_figures(TITLES[name], rows)
    report_skipped(figures["skipped"])


def _print_figures(title: str, rows: list[dict[str, Any]]) -> None:
    """A line for every metric, a column for every direction."""
    from itr_core.metrics.catalogue import METRICS

    ways = list(dict.fromkeys(row["direction"] for row in rows if row["direction"])) or [""]
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        cells.setdefault(row["metric"], {})[row["direction"] or ways[0]] = _cell(row, "value", "low", "high")
    table = [
        (METRICS[metric].title, *(found.get(direction, "") for direction in ways))
        for metric, found in cells.items()
    ]
    print_table(title, ("", *map(str.upper, ways)), table)


def _compared(row: dict[str, Any]) -> tuple[str, ...]:
    from itr_core.metrics.catalogue import METRICS

    return (
        METRICS[row["metric"]].title_in(row["direction"]),
        _number(row, "value"),
        _number(row, "against_value"),
        _cell(row, "difference", "difference_low", "difference_high", sign="+"),
        "" if row["p"] is None else f"{row['p']:.3f}",
    )


def _cell(row: dict[str, Any], value: str, low: str, high: str, sign: str = "") -> str:
    if row[low] is None:
        return _number(row, value, sign)
    return f"{_number(row, value, sign)} [{_number(row, low, sign)}, {_number(row, high, sign)}]"


def _number(row: dict[str, Any], key: str, sign: str = "") -> str:
    digits = 2 if row["metric"] == "spearman" else 1
    return "-" if row[key] is None else f"{row[key]:{sign}.{digits}f}"
