"""Measure why a model misses at rank 1, and which changes of a caption it does not notice.

    pairscope build picturebook:test --model starter:infonce --out gallery
    python benchmarks/misses.py gallery

Every query whose first answer is not its own pair gets one cause: by the exact relevance where it is known,
and by comparing texts. Probes compare a true caption with one that a small edit makes false.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from provenance import build_command
from reporting import ResultsOption, report
from results import Column, Measurement, Row, Table

from analysis.ground_truth import truth_of
from analysis.misses.causes import confusion, misses, shares
from analysis.probes.counterfactuals import gallery_probes, probe_accuracy, probe_table
from itr_core import Gallery, load_encoder
from itr_core.gallery.named_models import model_to_load


def main(
    gallery: Annotated[Path, typer.Argument(help="Folder made by `pairscope build`.")],
    images: Annotated[int, typer.Option(help="Images to make probes of, at most.")] = 1000,
    results: ResultsOption = None,
) -> None:
    """Measure why a model misses at rank 1, and which changes of a caption it does not notice."""
    opened = Gallery.open(gallery)
    truth = truth_of(opened)
    captions = [caption for of_image in opened.items["captions"] for caption in of_image]
    image_of_caption, image_embeddings = opened.image_of_caption, np.asarray(opened.image_embeddings)
    columns: dict[str, Column] = {}
    cells: dict[str, dict[str, float]] = {}
    notes = [f"{opened.manifest.model} on {opened.manifest.source}."]
    for method, relevance in (("truth", truth), ("text", None)):
        if method == "truth" and truth is None:
            continue
        start = time.perf_counter()
        table = misses(
            image_embeddings, np.asarray(opened.text_embeddings), image_of_caption, captions, relevance
        )
        typer.echo(f"Causes by {method} took {time.perf_counter() - start:.1f} s.")
        typer.echo(confusion(table).groupby("concept", sort=False).head(3).to_string(index=False) + "\n")
        counts = table["direction"].value_counts()
        for direction, share in shares(table).items():
            key = f"{direction}_{method}"
            title = f"{str(direction).upper()} by {method}"
            columns[key] = Column(title=f"{title} ({counts.get(direction, 0):,} misses)", unit="%")
            for cause, value in share.items():
                cells.setdefault(str(cause), {})[key] = 100 * float(value)

    probes, rows = gallery_probes(captions, image_of_caption, truth, max_images=images)
    probed = probe_table(load_encoder(model_to_load(opened.manifest)), image_embeddings, probes, rows)
    notes.append(f"Probes by {'exact truth' if truth else 'word lists'}, of at most {images:,} images.")
    accuracy = [
        Row(title=str(kind), cells={"accuracy": _percent(value, low, high)})
        for kind, value, low, high in probe_accuracy(probed)[["accuracy", "low", "high"]].itertuples()
    ]
    tables = {
        "causes": Table(
            title="cause",
            columns=dict(sorted(columns.items(), reverse=True)),  # T2I first
            rows=[Row(title=cause, cells={**each}) for cause, each in cells.items()],
        ),
        "probes": Table(
            title="edit", columns={"accuracy": Column(title="accuracy", unit="%")}, rows=accuracy
        ),
    }
    report("misses", tables, results, notes, first=[build_command(gallery)])


def _percent(value: float, low: float, high: float) -> Measurement:
    return Measurement(value=100 * value, low=100 * low, high=100 * high)


if __name__ == "__main__":
    typer.run(main)
