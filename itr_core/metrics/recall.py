"""Retrieval measures: pure functions of a similarity matrix."""

import numpy as np
from numpy.typing import ArrayLike

from itr_core.metrics.arrays import as_array, as_image_rows
from itr_core.metrics.similarity import Rows, as_rows, blocks

CUTOFFS = (1, 5, 10)


def ranks(similarity: Rows | ArrayLike, image_of_caption: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Rank of the right answer to every query, 1 = best, in both directions.

    A rival is an image (caption) other than the query's own. The rank is 1 + (rivals that score strictly
    better) + (rivals that score the same) / 2: the mean of the best and the worst place among equals.
    Counting only the strictly better ones, as some do, gives a collapsed model, to which all things are
    equally similar, a perfect score; without ties the two agree.

    Args:
        similarity: (n_images, n_captions), finite or infinite; read in blocks of rows, never copied whole.
        image_of_caption: (n_captions,) integers in [0, n_images); an image may have any number, also none.

    Returns:
        T2I ranks (n_captions,) of each caption's image among the images, and I2T ranks (n_images,) of each
        image's best own caption among the captions of others (NaN: it has none); float64.

    Raises:
        ValueError: shapes that do not fit, an index out of range, NaN in the similarity.
    """
    similarity = as_rows(similarity)
    n_images, n_captions = similarity.shape
    image_of_caption = as_image_rows(image_of_caption, n_images, n_captions)
    if n_captions == 0:
        raise ValueError("There are no captions to rank.")

    own = np.empty(n_captions)  # each caption's similarity to its own image
    for rows, block in blocks(similarity):
        here = np.flatnonzero((image_of_caption >= rows.start) & (image_of_caption < rows.stop))
        own[here] = block[image_of_caption[here] - rows.start, here]
    own = own.astype(block.dtype)  # nothing is lost, and comparing needs no wider copy of a block
    best = np.full(n_images, -np.inf, dtype=np.promote_types(block.dtype, np.float32))
    np.maximum.at(best, image_of_caption, own)

    t2i = np.full(n_captions, 0.5)  # the own image is found once among the equals
    i2t = (
        1 - np.bincount(image_of_caption, own == best[image_of_caption], n_images) / 2
    )  # so are own captions as good as the best
    for rows, block in blocks(similarity):
        t2i += (block > own).sum(0) + (block == own).sum(0) / 2
        mark = best[rows, None]
        i2t[rows] += (block > mark).sum(1) + (block == mark).sum(1) / 2
    i2t[np.bincount(image_of_caption, minlength=n_images) == 0] = np.nan
    return t2i, i2t


def retrieval_metrics(similarity: Rows | ArrayLike, image_of_caption: ArrayLike) -> dict[str, float]:
    """Recall at 1, 5 and 10 in percent, their sum (rSum, at most 600) and median ranks, in both directions.

    T2I: the share of captions whose image is among the first k images. I2T: the share of images with at
    least one of their captions among the first k captions; images without captions are no queries.
    Arguments, ties and errors as in `ranks`.

    Three images with one caption each. Read down for T2I: captions 0 and 1 find their image first (.9, .6),
    caption 2 finds its own second (.5 after .7). Read across for I2T: images 0 and 2 find their captions
    first, image 1 prefers caption 2 (.7) to its own (.6).

    >>> similarity = np.array([[.9, .2, .1], [.3, .6, .7], [.0, .4, .5]])
    >>> m = retrieval_metrics(similarity, np.arange(3))
    >>> {name: round(value, 1) for name, value in m.items() if "5" not in name and "10" not in name}
    {'t2i_r1': 66.7, 'i2t_r1': 66.7, 'rsum': 533.3, 't2i_medr': 1.0, 'i2t_medr': 1.0}
    """
    return summary(*ranks(similarity, image_of_caption))


def summary(t2i: np.ndarray, i2t: np.ndarray) -> dict[str, float]:
    """The measures of `retrieval_metrics`, from the ranks that `ranks` returns."""
    queries = {"t2i": t2i, "i2t": i2t[~np.isnan(i2t)]}
    result = {
        f"{direction}_r{k}": 100 * float(np.mean(r <= k)) for direction, r in queries.items() for k in CUTOFFS
    }
    result["rsum"] = sum(result.values())
    return result | {f"{direction}_medr": float(np.median(r)) for direction, r in queries.items()}


def fold_ranks(
    similarity: Rows | ArrayLike, image_of_caption: ArrayLike, folds: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """`ranks`, with every query ranked among its own fold alone: so many equal runs of consecutive images.

    Five folds of 5,000 images are the COCO 1K protocol. Its recall is the mean over folds, which is that over
    all queries where each image has as many captions as any other. Arguments, returns and errors as in
    `ranks`; also ValueError where the images cannot be cut into equal folds.
    """
    similarity = as_rows(similarity)
    n_images, n_captions = similarity.shape
    image_of_caption = as_image_rows(image_of_caption, n_images, n_captions)
    if n_images % folds:
        raise ValueError(f"{n_images} images cannot be cut into {folds} equal folds.")
    size = n_images // folds
    t2i, i2t = np.empty(n_captions), np.empty(n_images)
    for start in range(0, n_images, size):
        captions = np.flatnonzero((image_of_caption >= start) & (image_of_caption < start + size))
        fold = as_array(similarity[start : start + size])[:, captions]
        t2i[captions], i2t[start : start + size] = ranks(fold, image_of_caption[captions] - start)
    return t2i, i2t
