"""What the points of a map can be coloured by: one value for every image and every caption."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from itr_core.errors import GalleryError

if TYPE_CHECKING:
    from analysis.gallery_analysis import GalleryAnalysis

By = Literal["modality", "category", "length", "rank", "cause"]
BYS: tuple[By, ...] = get_args(By)
MOST_CATEGORIES = 6
OTHER, RIGHT = "other", "found at once"
TITLES = {"length": "words", "rank": "log10 of the rank"}


def colouring(analysis: "GalleryAnalysis", by: By) -> Mapping[str, np.ndarray] | None:
    """Values of the "images" (n,) and the "captions" (m,): names, or numbers with NaN where there is none.

    modality: None, since there is nothing to add. category: the rarest of the six commonest labels that an
    image has, else "other"; its captions have the same. length: the words of a caption; images have none.
    rank: log10 of the rank of the right answer to each as a query, 0 is best. cause: why each as a query is a
    miss at rank 1, see `analysis.misses.causes`, else "found at once".

    Raises GalleryError where the gallery has no labels, or no pairs to rank.
    """
    n, m = len(analysis.images), len(analysis.captions)
    if by == "category":
        of_image = _categories(analysis.gallery.items["labels"].tolist(), str(analysis.gallery.path))
        return {"images": of_image, "captions": of_image[analysis.gallery.image_of_caption]}
    if by == "length":
        words = [len(caption.split()) for caption in analysis.captions]
        return {"images": np.full(n, np.nan), "captions": np.array(words, float)}
    if by == "rank":
        t2i, i2t = analysis.ranks()
        return {"images": np.log10(i2t), "captions": np.log10(t2i)}
    if by == "cause":
        causes = {"i2t": np.full(n, RIGHT, object), "t2i": np.full(m, RIGHT, object)}
        for direction, misses in analysis.misses().groupby("direction"):
            causes[str(direction)][misses["query"].to_numpy()] = misses["cause"].to_numpy()
        return {"images": causes["i2t"], "captions": causes["t2i"]}
    return None


def _categories(labels: Sequence[Sequence[str] | None], gallery: str) -> np.ndarray:
    named = [[] if own is None else list(own) for own in labels]
    common = dict(Counter(label for own in named for label in own).most_common(MOST_CATEGORIES))
    if not common:
        raise GalleryError(f"{gallery}: its source has no labels, so there are no categories to colour by.")
    rarest = [
        min((label for label in own if label in common), key=common.__getitem__, default=OTHER)
        for own in named
    ]
    return np.array(rarest, object)
