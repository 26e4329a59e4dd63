"""Values by which the points of a map can be coloured, one for every image and every caption."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from itr_core.errors import GalleryError
from itr_core.vocabulary import word_counts

if TYPE_CHECKING:
    from analysis.gallery_analysis import GalleryAnalysis

By = Literal["modality", "category", "length", "rank", "cause"]
MAX_CATEGORIES = 6
OTHER, NO_MISS = "other", "right at rank 1"
TITLES = {"length": "words", "rank": "log10 of the rank"}


def colouring(analysis: "GalleryAnalysis", by: By) -> Mapping[str, np.ndarray] | None:
    """Return the values of all images and captions.

    Args:
        analysis: of a gallery with n images and m captions.
        by: "modality": no values. "category": the rarest label of an image among the six most common labels,
            or "other"; captions have that of their image. "length": number of words of a caption, for an
            image the mean of its captions. "rank": log10 of the rank of the right answer for each item as a
            query, 0 is best. "cause": cause of the miss at rank 1 for each item as a query
            (`analysis.misses.causes`), or "right at rank 1".

    Returns:
        "images" (n,) and "captions" (m,): strings, or numbers with NaN for no value. None for "modality".

    Raises:
        GalleryError: no labels, no captions, or no pairs to rank.
    """
    n, m = len(analysis.images), len(analysis.captions)
    if by == "category":
        of_image = _categories(analysis.gallery.items["labels"].tolist())
        return {"images": of_image, "captions": of_image[analysis.gallery.image_of_caption]}
    if by == "length":
        if not analysis.captions:
            raise GalleryError("This gallery has no captions, so there is no length to colour by.")
        words = word_counts(analysis.captions).astype(float)
        image_of_caption = analysis.gallery.image_of_caption
        counts = np.bincount(image_of_caption, minlength=n)
        sums = np.bincount(image_of_caption, words, n)
        means = np.divide(sums, counts, out=np.full(n, np.nan), where=counts > 0)
        return {"images": means, "captions": words}
    if by == "rank":
        t2i, i2t = analysis.ranks()
        return {"images": np.log10(i2t), "captions": np.log10(t2i)}
    if by == "cause":
        causes = {"i2t": np.full(n, NO_MISS, object), "t2i": np.full(m, NO_MISS, object)}
        for direction, misses in analysis.misses().groupby("direction"):
            causes[str(direction)][misses["query"].to_numpy()] = misses["cause"].to_numpy()
        return {"images": causes["i2t"], "captions": causes["t2i"]}
    return None


def _categories(labels: Sequence[Sequence[str] | None]) -> np.ndarray:
    labels_of = [[] if own is None else list(own) for own in labels]
    common = dict(Counter(label for own in labels_of for label in own).most_common(MAX_CATEGORIES))
    if not common:
        raise GalleryError("The source of this gallery has no labels, so there is no category to colour by.")
    rarest = [
        min((label for label in own if label in common), key=common.__getitem__, default=OTHER)
        for own in labels_of
    ]
    return np.array(rarest, object)
