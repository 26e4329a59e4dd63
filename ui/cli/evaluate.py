"""`pairscope evaluate`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from itr_core.system.garbage import without_search
from ui.cli.options import (
    MODEL_HELP,
    SOURCE_HELP,
    Device,
    Json,
    Model,
    RerankWeight,
    Runtime,
)
from ui.cli.output import print_json, print_line, print_table, report_skipped
from ui.cli.source_options import SourceOptions, with_source_options

PROTOCOL_HELP = (
    "Ground truth. standard: the given pairs; coco-1k: the given pairs, in five folds of 1,000 images; "
    "exact: exact relevance (Picturebook); uni-modal: images find images, captions find captions; labels: "
    "shared labels; eccv, cxc: ECCV Caption and CxC on COCO's test split; hierarchical: the given pairs, all "
    "ranked by the hierarchical similarity of AsCL (see --u1). Can be repeated."
)
TITLES = {
    "standard": "Ground truth: the given pairs",
    "reranked": "Ground truth: the given pairs; the 100 best re-ranked",
    "coco-1k": "Ground truth: the given pairs, in five folds of 1,000 images",
    "exact": "Ground truth: exact relevance",
    "uni-modal": "Uni-modal retrieval",
    "labels": "Ground truth: shared labels",
    "eccv": "Ground truth: ECCV Caption",
    "cxc": "Ground truth: CxC",
    "hierarchical": "Ground truth: the given pairs; all ranked by the hierarchical similarity",
    "judgments": "Agreement with expert judgments",
    "sts": "Agreement with scored text pairs",
}


@with_source_options
def evaluate(
    model: Model,
    source: Annotated[str, typer.Option(help=SOURCE_HELP)],
    protocol: Annotated[list[str] | None, typer.Option(help=PROTOCOL_HELP, show_default="standard")] = None,
    against: Annotated[
        str | None, typer.Option(help=f"Second model, compared with the first query by query: {MODEL_HELP}")
    ] = None,
    image_features: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="FILE.npy or FILE.safetensors:KEY: inputs of the last projection of the image tower, one "
            "row per image of the source, instead of the images.",
        ),
    ] = None,
    judgments: Annotated[
        Path | None,
        typer.Option(help="Flickr8k's ExpertAnnotations.txt; measure the agreement of the scores with it."),
    ] = None,
    sts: Annotated[
        list[Path] | None,
        typer.Option(
            help="File of lines TEXT <tab> TEXT <tab> SCORE, or folder of STS sets in SentEval's layout; "
            "measure the rank correlation with them. Can be repeated."
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="Source whose images the images of --source search (--protocol uni-modal), such as "
            "inshop:FOLDER:gallery for inshop:FOLDER:query."
        ),
    ] = None,
    options: SourceOptions = SourceOptions(),
    rerank: Annotated[
        bool,
        typer.Option("--rerank", help="Also measure re-ranking (see `search --rerank`)."),
    ] = False,
    u1: RerankWeight = None,
    heads: Annotated[
        bool,
        typer.Option(
            help="Use what a method stored beside the two towers: CODER's concepts, CUSA's uni-modal heads, "
            "AsCL's weight of the local similarity."
        ),
    ] = True,
    device: Device = None,
    runtime: Runtime = None,
    as_json: Json = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Measure retrieval in both directions, with 95 % intervals over images."""
    with without_search():
        from itr_core.encoders.dual_encoder import load_encoder
        from itr_core.evaluation import evaluate as measure
        from itr_core.features.image_rows import features_from_file
        from itr_core.runtimes.encoder import open_runtime
        from itr_core.system.files import whole_file

    if out:
        out.parent.mkdir(parents=True, exist_ok=True)  # fail before the long evaluation, not after it
    pairs = options.open(source)
    results = measure(
        open_runtime(model, runtime, device, heads=heads),
        pairs,
        features_from_file(image_features, pairs).values if image_features else None,
        protocols=protocol or ["standard"],
        rerank=rerank,
        u1=u1,
        judgments=judgments,
        sts=sts,
        database=options.open(database) if database else None,
        against=load_encoder(against, device=device, heads=heads).fuse() if against else None,
    )
    if out:
        with whole_file(out) as part:
            part.write_text(json.dumps(results, indent=2, ensure_ascii=False))
    if as_json:
        print_json(results)
        return
    print_line(
        f"{results['model']} on {results['source']}: "
        f"{results['n_images']:,} images, {results['n_captions']:,} captions; [95 % interval over images]"
    )
    if against:
        print_line(f"against {results['rows'][0]['against']}")
    for title in dict.fromkeys(_title(row) for row in results["rows"]):
        rows = [row for row in results["rows"] if _title(row) == title]
        if against:
            header = "", "value", "against", "difference", "p"
            print_table(title, header, [_comparison(row) for row in rows])
        else:
            _print_metrics(title, rows)
    report_skipped(results["skipped"])


def _title(row: dict[str, Any]) -> str:
    """Return the title of the table of a row; sets of text pairs share one."""
    return TITLES["sts" if row["protocol"].startswith("sts-") else row["protocol"]]


def _metric_title(row: dict[str, Any], direction: str) -> str:
    """Return the title of the metric of a row, with the set of text pairs if there are several."""
    from itr_core.metrics.catalogue import METRICS

    text_pairs = row["protocol"].removeprefix("sts-") if row["protocol"].startswith("sts-") else ""
    return ", ".join(filter(None, (METRICS[row["metric"]].title_in(direction), text_pairs)))


def _print_metrics(title: str, rows: list[dict[str, Any]]) -> None:
    """Print a line for every metric and a column for every direction."""
    directions = list(dict.fromkeys(row["direction"] for row in rows if row["direction"])) or [""]
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        direction = row["direction"] or directions[0]
        cells.setdefault(_metric_title(row, ""), {})[direction] = _cell(row, "value", "low", "high")
    table = [
        (metric, *(of_metric.get(direction, "") for direction in directions))
        for metric, of_metric in cells.items()
    ]
    print_table(title, ("", *map(str.upper, directions)), table)


def _comparison(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        _metric_title(row, row["direction"]),
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
