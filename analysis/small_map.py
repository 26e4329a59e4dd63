"""A small map of the images of a gallery, with one image and the query, if the map is known already."""

from dataclasses import dataclass

import numpy as np

from analysis.gallery_analysis import GalleryAnalysis, Kind, Method

MOST_POINTS = 3000
"""Most points of other images; of more, every second, third ... one is shown."""


@dataclass(frozen=True)
class SmallMap:
    """Places on a map, scaled to [0, 1]; the second coordinate counts from the top.

    Attributes:
        others: (k, 2) of images of the gallery.
        image: (2,) of the image.
        found: (m, 2) of other results.
        method: "umap", or "pca" if UMAP is not known.
    """

    others: np.ndarray
    image: np.ndarray
    found: np.ndarray
    method: Method


def small_map(analysis: GalleryAnalysis, row: int, found: list[int]) -> SmallMap | None:
    """Return the place of an image and of other results on the map of images.

    Nothing is computed that takes longer than reading a file: a map that is not known yet is not shown.

    Args:
        analysis: Of the gallery.
        row: The image.
        found: Rows of other results.
    """
    methods: tuple[Method, ...] = ("umap", "pca")
    kinds: tuple[Kind, ...] = ("images", "centred", "joint")
    known = (
        (kind, method) for method in methods for kind in kinds if analysis.results.known(f"{method}-{kind}")
    )
    kind_and_method = next(known, None)
    if kind_and_method is None:
        return None
    images = analysis.map(*kind_and_method)["images"]
    if images.equal:
        return None
    low, span = images.points.min(axis=0), np.maximum(np.ptp(images.points, axis=0), 1e-12)
    places = (images.points - low) / span
    places[:, 1] = 1 - places[:, 1]
    step = 1 + (len(places) - 1) // MOST_POINTS
    return SmallMap(places[::step], places[row], places[found], kind_and_method[1])
