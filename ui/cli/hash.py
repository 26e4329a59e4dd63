"""`pairscope hash`."""

from typing import Annotated

import typer

from ui.cli.options import MODEL_HELP, Columns, Device, ImageRoot, Json, Limit, Source, open_source
from ui.cli.output import print_json, print_table, report_skipped


def hash_codes(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    source: Source,
    bits: Annotated[int, typer.Option(help="Length of the codes, a multiple of 8.")] = 32,
    labels: Annotated[
        str,
        typer.Option(help="What makes an answer right: source, concepts, clusters, or auto for the first."),
    ] = "auto",
    structure: Annotated[
        float, typer.Option(help="How much the embeddings' own similarities count against the labels.")
    ] = 0.01,
    seed: Annotated[int, typer.Option(help="Of the queries drawn and of the training.")] = 0,
    columns: Columns = None,
    image_root: ImageRoot = None,
    limit: Limit = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train binary codes on a source with labels; measure what they find, beside the full embeddings."""
    from itr_core.encoders.dual_encoder import load_encoder
    from itr_core.hashing.evaluate import evaluate_codes

    pairs = open_source(source, columns, image_root, limit)
    encoder = load_encoder(model, device=device)
    figures = evaluate_codes(encoder, pairs, bits=bits, labels=labels, structure=structure, seed=seed)
    if as_json:
        print_json(figures)
        return
    windows = "map@n_query", "map@all"
    print_table(
        f"{figures['model']} on {figures['source']}: {figures['n_query_images']:,} query images, "
        f"{figures['n_database_images']:,} in the database; right is what shares one of "
        f"{figures['n_labels']} labels ({figures['labels']})",
        (
            "",
            *(
                f"{direction} {window.replace('map', 'mAP')}"
                for direction in ("T2I", "I2T")
                for window in windows
            ),
        ),
        [
            (
                name,
                *(
                    f"{figures[key][direction][window]:.1f}"
                    for direction in ("t2i", "i2t")
                    for window in windows
                ),
            )
            for key, name in (("codes", f"{bits}-bit codes"), ("embeddings", "embeddings"))
        ],
    )
    report_skipped(figures["skipped"])
