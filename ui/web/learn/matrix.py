"""Matrix and temperature: the cosines of a small batch, and what a contrastive loss makes of them."""

from pathlib import Path
from typing import Any

from analysis.gallery_analysis import GalleryAnalysis
from ui.web.boundary.served import thumbnail_url
from ui.web.errors import show_errors
from ui.web.galleries import Galleries
from ui.web.html import raw
from ui.web.learn.panel import Panel, module


def add_matrix(galleries: Galleries) -> None:
    """Add the panel to the open Blocks. The browser asks once for the cosines and computes the rest."""

    @show_errors(lambda message: {"error": message})
    def batch(name: Any) -> dict[str, Any]:
        if progress := galleries.progress(str(name)):
            return {"waiting": progress}
        return _batch(galleries.analysis(str(name)))

    module(
        Path(__file__).with_name("matrix.js"),
        raw("learn_matrix.html"),
        server_functions=[batch],
        galleries=galleries.all_names,
        elem_id="matrix",
    )


def _batch(analysis: GalleryAnalysis) -> dict[str, Any]:
    """Return what the script shows: the pairs, their cosines, and what the last pair is."""
    batch, gallery = analysis.example_batch, analysis.gallery
    thumbnails = gallery.items["thumbnail"].iloc[batch.images]
    return {
        "pictures": [thumbnail_url(gallery.path / each) for each in thumbnails],
        "captions": [analysis.captions[row] for row in batch.captions],
        "cosines": batch.cosines.tolist(),
        "twin": batch.twin,
        "synthetic": gallery.manifest.source.startswith("picturebook:"),
    }


MATRIX = Panel(
    "matrix",
    "Matrix and temperature",
    "Move the temperature of a contrastive loss and watch eight pictures and eight captions compete.",
    "Tools",
    add_matrix,
)
