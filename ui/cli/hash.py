"""`pairscope hash`."""

from typing import Annotated

import typer

from itr_core.system.garbage import without_search
from ui.cli.options import MODEL_HELP, Device, Json, Source
from ui.cli.output import print_json, print_table, report_skipped
from ui.cli.source_options import SourceOptions, with_source_options


@with_source_options
def hash_codes(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    source: Source,
    queries: Annotated[
        str | None,
        typer.Option(
            help="Source of the query images, on which nothing is trained; with --database. Default: a fifth "
            "of SOURCE."
        ),
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="Source that the queries search. Default: the rest of SOURCE.")
    ] = None,
    bits: Annotated[
        list[int] | None,
        typer.Option(help="Length of the codes, a multiple of 8. Can be repeated.", show_default="32"),
    ] = None,
    labels: Annotated[
        str,
        typer.Option(
            help="Labels that define relevance: source, concepts, clusters, or auto (the first available)."
        ),
    ] = "auto",
    structure: Annotated[
        float, typer.Option(help="Weight of the loss term that preserves the similarities of the embeddings.")
    ] = 0.01,
    seed: Annotated[int, typer.Option(help="Random seed of the query split and of training.")] = 0,
    options: SourceOptions = SourceOptions(),
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train binary codes on a labelled source and compare their label mAP with that of the embeddings.

    mAP@n_query is taken over as many ranks as there are query images, as in the literature.
    """
    with without_search():
        from itr_core.encoders.dual_encoder import load_encoder
        from itr_core.hashing.evaluate import evaluate_codes

    pairs = options.open(source)
    lengths = bits or [32]
    metrics = evaluate_codes(
        load_encoder(model, device=device),
        pairs,
        queries=options.open(queries) if queries else None,
        database=options.open(database) if database else None,
        bits=lengths if len(lengths) > 1 else lengths[0],
        labels=labels,
        structure=structure,
        seed=seed,
    )
    if as_json:
        print_json(metrics)
        return
    windows, codes = ("map@n_query", "map@all"), metrics["codes"]
    print_table(
        f"{metrics['model']} on {queries or source}: {metrics['n_query_images']:,} query images, "
        f"{metrics['n_database_images']:,} database images; relevant if they share one of "
        f"{metrics['n_labels']} labels ({metrics['labels']})",
        (
            "",
            *(
                f"{direction} {window.replace('map', 'mAP')}"
                for direction in ("T2I", "I2T")
                for window in windows
            ),
        ),
        [
            (name, *(f"{of[direction][window]:.1f}" for direction in ("t2i", "i2t") for window in windows))
            for name, of in (
                *((f"{n}-bit codes", codes[str(n)] if len(lengths) > 1 else codes) for n in lengths),
                ("embeddings", metrics["embeddings"]),
            )
        ],
    )
    report_skipped(metrics["skipped"])
