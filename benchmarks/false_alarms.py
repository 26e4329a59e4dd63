"""Measure the notes on low confidence for short queries and for pictures.

    PAIRSCOPE_DATA=DIR python benchmarks/false_alarms.py

The gallery is picturebook:gallery. Everything that Picturebook can draw is in it, so no name of a kind should
be reported as low confidence. Things that Picturebook does not know should be, and so should photos.
Renders of other scenes (picturebook:val) should not. The photos are those of DIR/coco_sample/images; without
them, this row is left out.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from reporting import ResultsOption, report
from results import Column, Row, Table

from analysis.confidence import Confidence
from analysis.gallery_analysis import GalleryAnalysis
from analysis.verdict import UNFAMILIAR, UNLIKELY
from itr_core import Gallery, Searcher, load_encoder, load_pairs
from itr_core.pairs import decode_image
from itr_core.picturebook.ontology import KINDS
from itr_core.picturebook.wording import article

ABSENT = (
    "submarine", "giraffe", "laptop", "pizza", "violin", "skyscraper", "microscope", "telescope", "dinosaur",
    "helicopter", "kangaroo", "piano", "refrigerator", "waterfall", "volcano", "astronaut", "toothbrush",
    "sandwich", "spaceship", "zebra",
)  # fmt: skip
"""Things that Picturebook cannot draw and its captions never name."""


def main(
    model: Annotated[str, typer.Argument(help="Model spec.")] = "starter:infonce",
    renders: Annotated[int, typer.Option(help="Number of renders of other scenes.")] = 200,
    results: ResultsOption = None,
) -> None:
    """Measure the notes on low confidence for short queries and for pictures."""
    encoder = load_encoder(model)
    with TemporaryDirectory() as folder:
        gallery = Gallery.build(load_pairs("picturebook:gallery"), encoder, Path(folder) / "gallery")
        searcher, confidence = Searcher(gallery, encoder), GalleryAnalysis(gallery).confidence()
        others = load_pairs(f"picturebook:val@{renders}")
        reported = {
            "names of kinds": queries_reported(confidence, searcher, list(KINDS)),
            "names of kinds, with an article": queries_reported(confidence, searcher, map(article, KINDS)),
            "absent things": queries_reported(confidence, searcher, ABSENT),
            "absent things, with an article": queries_reported(confidence, searcher, map(article, ABSENT)),
            "renders of other scenes": pictures_reported(
                confidence, searcher, (others.image(row) for row in range(len(others)))
            ),
        }
        if photos := sorted(Path(os.environ.get("PAIRSCOPE_DATA", "")).glob("coco_sample/images/*")):
            images = (decode_image(path) for path in photos)
            reported["photos"] = pictures_reported(confidence, searcher, images)
    rows = [
        Row(title=title, cells={"number": len(each), "reported": int(np.sum(each))})
        for title, each in reported.items()
    ]
    columns = {
        "number": Column(title="number", format=",.0f"),
        "reported": Column(title="reported as low confidence", format=",.0f"),
    }
    note = f"{model}; stated false-alarm rates {UNLIKELY:.0%} of queries and {UNFAMILIAR:.0%} of pictures."
    report("false_alarms", {"reports": Table(columns=columns, rows=rows)}, results, [note])


def queries_reported(confidence: Confidence, searcher: Searcher, queries: Iterable[str]) -> list[bool]:
    """Return for each query if the search page reports it as low confidence."""
    rates = (
        confidence.of_query(
            query,
            searcher.embed_text(query),
            searcher.search_text(query, 1)[0].score,
            searcher.encoder.unseen_words(query),
        )
        for query in queries
    )
    return [rate <= UNLIKELY for rate in rates]


def pictures_reported(
    confidence: Confidence, searcher: Searcher, images: Iterable[Image.Image]
) -> list[bool]:
    """Return for each picture if the search page reports it as low confidence."""
    return [confidence.of_picture(searcher.embed_image(image)) <= UNFAMILIAR for image in images]


if __name__ == "__main__":
    typer.run(main)
