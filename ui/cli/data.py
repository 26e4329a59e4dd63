"""`pairscope data`: show, convert and export sources of pairs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ui.cli.options import Device, Json, Source
from ui.cli.output import print_json, print_line, print_table, progress_bar, report_skipped
from ui.cli.source_options import SourceOptions, with_source_options

app = typer.Typer(no_args_is_help=True, help="Show, convert and export sources of pairs.")


@app.command()
@with_source_options
def show(
    source: Source,
    options: SourceOptions = SourceOptions(),
    as_json: Json = False,
) -> None:
    """Count the images, captions, words, labels and skipped files of a source."""
    from itr_core.pairs.summary import summary

    counts = summary(options.open(source))
    if as_json:
        print_json(counts)
        return
    labels, skipped = counts.pop("labels"), counts.pop("skipped")
    counts["labels"] = ", ".join(f"{label} {count}" for label, count in list(labels.items())[:20]) or "none"
    print_table(source, ("", ""), [(name.replace("_", " "), _cell(value)) for name, value in counts.items()])
    report_skipped(f"{each['name']}: {each['reason']}" for each in skipped)


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return f"{value['least']} to {value['most']}, mean {value['mean']}"
    return "none" if value is None else str(value)


@app.command()
@with_source_options
def export(
    source: Source,
    to: Annotated[Literal["parquet", "karpathy", "folder"], typer.Option(help="Layout to write.")],
    out: Annotated[Path, typer.Option(help="Folder to create.")],
    options: SourceOptions = SourceOptions(),
) -> None:
    """Write a source as parquet, Karpathy JSON or a folder, which other retrieval code can read."""
    from itr_core.pairs.export import export as write

    pairs = options.open(source)
    with progress_bar("Writing") as progress:
        skipped = write(pairs, to, out, progress=progress)
    report_skipped(f"{name}: {reason}" for name, reason in [*pairs.skipped, *skipped])
    print_line(f"{out}: {len(pairs) - len(skipped)} images with captions, as {to}.")


@app.command()
@with_source_options
def teachers(
    source: Source,
    out: Annotated[Path, typer.Option(help="FILE.safetensors to write.")],
    image_teacher: Annotated[
        str, typer.Option(help="features, timm:NAME[@FILE.safetensors], open_clip:SPEC.")
    ] = "features",
    text_teacher: Annotated[
        str, typer.Option(help="lsa, sentence-transformers:NAME, open_clip:SPEC, plain-text:TEACHER.")
    ] = "lsa",
    model: Annotated[
        str, typer.Option(help="Model whose image features the teacher `features` returns.")
    ] = "starter:infonce",
    device: Device = None,
    options: SourceOptions = SourceOptions(),
) -> None:
    """Compute and export teacher embeddings."""
    from itr_core.encoders.dual_encoder import load_encoder
    from itr_core.features.image_rows import DecodedImages
    from itr_core.features.teachers import open_teachers, save_teachers

    pairs, encoder = options.open(source), load_encoder(model, device=device)
    rows = open_teachers(image_teacher, text_teacher, pairs, DecodedImages(pairs, encoder), encoder)
    save_teachers(out, pairs, *rows)
    report_skipped(f"{name}: {reason}" for name, reason in pairs.skipped)
    print_line(
        f"{out}: {len(pairs)} images and {len(rows[1])} captions. Train with "
        f"--image-teacher precomputed:{out}:image --text-teacher precomputed:{out}:text."
    )


@app.command()
def triples(out: Annotated[Path, typer.Option(help="Tab-separated file to write.")]) -> None:
    """Write the relations between Picturebook's words (puppy IsA pet) for `train --triples`."""
    from itr_core.picturebook.ontology import TRIPLES
    from itr_core.system.files import whole_file

    with whole_file(out) as part:
        part.write_text("".join("\t".join(triple) + "\n" for triple in TRIPLES), encoding="utf-8")
    print_line(f"{out}: {len(TRIPLES)} triples.")


@app.command()
def contact_sheet(out: Annotated[Path, typer.Option(help="PNG file to write.")]) -> None:
    """Draw all objects and backdrops of Picturebook on one sheet."""
    from itr_core.picturebook.sprites import contact_sheet as sheet
    from itr_core.system.files import whole_file

    with whole_file(out) as part:
        sheet().save(part, "PNG")
    print_line(out)
