"""Results of a gallery's analysis, computed in a process of its own: see `itr_core.system.computation`."""

from pathlib import Path
from typing import Any

from analysis.gallery_analysis import KINDS, GalleryAnalysis, Kind
from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.system.progress import Progress

WITH_ENCODER = ("truncated", "probes", "report_card")
"""Results that encode texts, for which the process loads the model."""


def compute(folder: Path, checksum: str, name: str, model: str, *, progress: Progress) -> dict[str, Any]:
    """Compute and cache one result of a gallery.

    Args:
        folder: The gallery.
        checksum: Of its manifest; the gallery must not have been built again.
        name: The result, such as "misses" or "umap-joint" (`analysis.result_versions`).
        model: Spec of the model that built the gallery.
        progress: See `Progress`.

    Returns:
        The result and those that it is computed from, for `ResultStore.add`.

    Raises:
        GalleryError: The gallery was built again, or lacks what the result needs.
    """
    gallery = Gallery.open(folder, verify=False, thumbnails=False)
    if gallery.manifest.checksum != checksum:
        raise GalleryError(f"The gallery {folder.name!r} was built again; reload the page to analyse it.")
    analysis = GalleryAnalysis(gallery)
    if name in WITH_ENCODER:
        from itr_core.encoders.dual_encoder import load_encoder
        from itr_core.retrieval.searcher import Searcher

        encoder = load_encoder(model)
        searcher = Searcher(gallery, encoder, exact=True)  # checks that it is the gallery's model
        if name == "report_card":
            analysis.report_card(encoder.fuse(), progress=progress)
        else:
            method = analysis.truncated if name == "truncated" else analysis.probe_accuracy
            method(searcher, progress=progress)
    elif name.startswith("umap-"):
        kinds: dict[str, Kind] = {f"umap-{kind}": kind for kind in KINDS}
        analysis.map(kinds[name], progress=progress)
    else:
        getattr(analysis, name)()
    return analysis.results.in_memory()
