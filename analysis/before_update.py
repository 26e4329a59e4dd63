"""What people know of a gallery stays when it is updated: places on its maps, and verdicts on its misses.

A map that is computed anew has another orientation and other neighbourhoods, so that nobody finds a known
point again.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from analysis.gallery_analysis import KINDS, GalleryAnalysis, Kind
from analysis.misses.verdicts import renumber
from analysis.neighbours import nearest
from itr_core.gallery import Gallery
from itr_core.gallery.build import VERDICTS
from itr_core.gallery.earlier import contents

MOST_NEW = 0.2
"""Share of new points from which on a map is computed anew."""
_NEIGHBOURS = 5


class BeforeUpdate:
    """Maps and rows of a gallery, kept in memory while a new build replaces it.

    Args:
        analysis: Of the gallery before the update. UMAP maps that it has not computed are left out.
    """

    def __init__(self, analysis: GalleryAnalysis) -> None:
        self._analysis = analysis
        self._images, self._captions = _keys(analysis.gallery)
        self._points: dict[Kind, np.ndarray] = {}
        for kind in KINDS:
            if analysis.results.known(f"umap-{kind}"):
                maps = analysis.map(kind).values()
                self._points[kind] = np.concatenate([each.points for each in maps])

    def carry(self, later: GalleryAnalysis) -> list[Kind]:
        """Give maps and verdicts to the gallery after the update.

        Each new point of a map is placed at the mean of its five nearest neighbours by cosine, weighted by
        their similarity, which is where UMAP starts to place it (`umap.UMAP.transform`).

        Args:
            later: Of the gallery after the update.

        Returns:
            The kinds of the maps. Those with too many new points are left out; they are computed anew.
        """
        new_images, new_captions = _keys(later.gallery)
        images, captions = _rows(self._images, new_images), _rows(self._captions, new_captions)
        renumber(
            later.gallery.path / VERDICTS,
            earlier=self._analysis.gallery.manifest.source_fingerprint,
            later=later.gallery.manifest.source_fingerprint,
            images={old: new for new, old in enumerate(images.tolist())},
            captions={old: new for new, old in enumerate(captions.tolist())},
        )
        both = np.concatenate([images, np.where(captions < 0, -1, captions + len(self._images))])
        rows_of = {"images": images, "captions": captions, "joint": both, "centred": both}
        carried: list[Kind] = []
        for kind, points in self._points.items():
            rows = rows_of[kind]
            if len(rows) and (rows < 0).mean() <= MOST_NEW:
                after = placed(points, self._analysis.map_rows(kind), later.map_rows(kind), rows)
                later.results.arrays(f"umap-{kind}", partial(dict, points=after))
                carried.append(kind)
        return carried


def placed(points: np.ndarray, before: np.ndarray, after: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the points of a map after an update.

    Args:
        points: (n, 2) of the earlier map.
        before: (n, d) unit vectors of its rows.
        after: (m, d) unit vectors of the rows of the new map.
        rows: (m,) the row in the earlier map, -1 for new ones.

    Returns:
        (m, 2), of the type of `points`.
    """
    result = points[rows]
    new = np.flatnonzero(rows < 0)
    found, squared = nearest(before, after[new], min(_NEIGHBOURS, len(before)))
    weights = 1 / (squared + 1e-6)
    result[new] = (weights[..., None] * points[found]).sum(axis=1) / weights.sum(axis=1, keepdims=True)
    return result


def _keys(gallery: Gallery) -> tuple[list[str], list[str]]:
    """Return what an update recognises each image and each caption by; "" for an unknown image."""
    images, texts = contents(gallery)
    of_image = [images[row] for row in gallery.image_of_caption]
    return images, [f"{image} {text}" for image, text in zip(of_image, texts, strict=True)]


def _rows(earlier: Sequence[str], later: Sequence[str]) -> np.ndarray:
    """Return the index of each entry in the earlier ones, int64 (m,); -1 for new and unknown ones."""
    row_of = {key: row for row, key in enumerate(earlier) if key}
    return np.array([row_of.get(key, -1) for key in later], np.int64)
