"""Ranks, recall at K, rSum and median ranks of a similarity matrix."""

import numpy as np
from numpy.typing import ArrayLike

from itr_core.metrics.arrays import as_array, as_image_rows
from itr_core.metrics.similarity import Rows, as_rows, blocks

CUTOFFS = (1, 5, 10)


def ranks(similarity: Rows | ArrayLike, image_of_caption: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Compute the rank of the correct item of every query, 1 = best, in both directions.

    The rank is 1 + (number of other items that score strictly higher) + (number that score the same) / 2, the
    mean of the best and the worst rank among equal scores. Counting only strictly higher scores, as some
    implementations do, gives a perfect result to a collapsed model with constant similarities. Without ties
    both definitions agree.

    Args:
        similarity: (n_images, n_captions), finite or infinite; read in blocks of rows, never copied as a
            whole.
        image_of_caption: (n_captions,) integers in [0, n_images). An image may have any number of captions,
            including none.

    Returns:
        T2I ranks (n_captions,), the rank of the image of each caption among all images, and I2T ranks
        (n_images,), the rank of the best caption of each image among the captions of other images, NaN
        without captions; both float64.

    Raises:
        ValueError: inconsistent shapes, an index out of range, or NaN in the similarity.
    """
    similarity = as_rows(similarity)
    n_images, n_captions = similarity.shape
    image_of_caption = as_image_rows(image_of_caption, n_images, n_captions)
    if n_captions == 0:
        raise ValueError("There are no captions to rank.")

    own = np.empty(n_captions)  # similarity of each caption to its image
    for rows, block in blocks(similarity):
        here = np.flatnonzero((image_of_caption >= rows.start) & (image_of_caption < rows.stop))
        own[here] = block[image_of_caption[here] - rows.start, here]
    own = own.astype(block.dtype)  # exact, and comparisons do not convert the block to another type
    best = np.full(n_images, -np.inf, dtype=np.promote_types(block.dtype, np.float32))
    np.maximum.at(best, image_of_caption, own)

    t2i = np.full(n_captions, 0.5)  # the correct image counts once among the equal scores
    # The best captions of the image itself are among the equal scores, too.
    i2t = 1 - np.bincount(image_of_caption, own == best[image_of_caption], n_images) / 2
    for rows, block in blocks(similarity):
        t2i += (block > own).sum(0) + (block == own).sum(0) / 2
        own_best = best[rows, None]
        i2t[rows] += (block > own_best).sum(1) + (block == own_best).sum(1) / 2
    i2t[np.bincount(image_of_caption, minlength=n_images) == 0] = np.nan
    return t2i, i2t


def retrieval_metrics(similarity: Rows | ArrayLike, image_of_caption: ArrayLike) -> dict[str, float]:
    """Compute R@1, R@5, R@10 (percent), rSum (their sum, at most 600) and median ranks in both directions.

    T2I recall is the percentage of captions whose image is among the first k images. I2T recall is the
    percentage of images with at least one of their captions among the first k captions; images without
    captions are not queries. Arguments, ties and errors are those of `ranks`.

    Example: three images with one caption each. In column direction (T2I), captions 0 and 1 rank their
    image first (.9, .6), caption 2 ranks its image second (.5 after .7). In row direction (I2T), images 0
    and 2 rank their caption first, image 1 ranks caption 2 (.7) before its own (.6).

    >>> similarity = np.array([[.9, .2, .1], [.3, .6, .7], [.0, .4, .5]])
    >>> m = retrieval_metrics(similarity, np.arange(3))
    >>> {name: round(value, 1) for name, value in m.items() if "5" not in name and "10" not in name}
    {'t2i_r1': 66.7, 'i2t_r1': 66.7, 'rsum': 533.3, 't2i_medr': 1.0, 'i2t_medr': 1.0}
    """
    return summary(*ranks(similarity, image_of_caption))


def summary(t2i: np.ndarray, i2t: np.ndarray) -> dict[str, float]:
    """Compute the metrics of `retrieval_metrics` from the ranks that `ranks` returns."""
    queries = {"t2i": t2i, "i2t": i2t[~np.isnan(i2t)]}
    result = {
        f"{direction}_r{k}": 100 * float(np.mean(r <= k)) for direction, r in queries.items() for k in CUTOFFS
    }
    result["rsum"] = sum(result.values())
    return result | {f"{direction}_medr": float(np.median(r)) for direction, r in queries.items()}


def fold_ranks(
    similarity: Rows | ArrayLike, image_of_caption: ArrayLike, folds: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Compute `ranks` within each of `folds` equal folds of consecutive images.

    Five folds of 5,000 images are the COCO 1K protocol. Its recall is the mean over folds, which equals the
    mean over queries if all images have the same number of captions. Arguments and results are those of
    `ranks`.

    Raises:
        ValueError: as `ranks`, and if the images cannot be divided into equal folds.
    """
    similarity = as_rows(similarity)
    n_images, n_captions = similarity.shape
    image_of_caption = as_image_rows(image_of_caption, n_images, n_captions)
    if n_images % folds:
        raise ValueError(f"{n_images} images cannot be divided into {folds} equal folds.")
    size = n_images // folds
    t2i, i2t = np.empty(n_captions), np.empty(n_images)
    for start in range(0, n_images, size):
        captions = np.flatnonzero((image_of_caption >= start) & (image_of_caption < start + size))
        fold = as_array(similarity[start : start + size])[:, captions]
        t2i[captions], i2t[start : start + size] = ranks(fold, image_of_caption[captions] - start)
    return t2i, i2t
