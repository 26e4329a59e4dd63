"""How far a figure could be off, and whether two models differ: the bootstrap over images.

The captions of one image are not independent of one another, so whole images are drawn, with all queries
that belong to them; to draw queries would make intervals too narrow. `scipy.stats.bootstrap`, which the tests
compare this with, draws the rows of one sample and keeps all of its draws; here what is drawn (an image) and
what is averaged (its queries) differ, memory does not grow with the number of draws, and figures that are
measured on the same images see the same draws, so that they can be added up or compared.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from itr_core.metrics.arrays import as_array, as_image_rows

DRAWS = 1000
Statistic = Callable[[np.ndarray], float]


class Difference(NamedTuple):
    """A metric of one model minus that of another, its 95 % interval over images and the two-sided p value.

    All four are NaN where no draw has a query.
    """

    difference: float
    low: float
    high: float
    p: float


def image_bootstrap(
    values: ArrayLike,
    image_of_query: ArrayLike,
    n_images: int,
    statistic: Statistic = np.mean,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic of queries, over draws of n_images images with replacement.

    Args:
        values: (q,) a number for each query, such as 1.0 for a hit, or (q, c), several; no NaN. Without any
            query, the interval is NaN.
        image_of_query: (q,) integers in [0, n_images). Images may have any number of queries, also none.
        n_images: number of images of the source.
        statistic: (any number of values, ...) -> float; the mean is the fastest by far.
        draws: number of draws.
        seed: the same seed and n_images give the same draws of images.

    Raises:
        ValueError: shapes that do not fit, NaN in the values.

    References:
        Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13.
    """
    return interval(resampled(values, image_of_query, n_images, statistic, draws=draws, seed=seed))


def resampled(
    values: ArrayLike,
    image_of_query: ArrayLike,
    n_images: int,
    statistic: Statistic = np.mean,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> np.ndarray:
    """The statistic in every draw of images, (draws,) float64; NaN where a draw holds no query.

    With the same seed and n_images, sums and differences of what is returned are those of the same draws:
    rSum is the sum of six recalls. Arguments and errors as in `image_bootstrap`.
    """
    values = as_array(values)
    image_of_query = as_image_rows(image_of_query, n_images, len(values), "image_of_query")
    if np.isnan(values).any():
        raise ValueError("There is NaN among the values; leave out queries without a right answer first.")
    if statistic is np.mean:
        sums = np.bincount(image_of_query, values, n_images)
        queries = np.bincount(image_of_query, minlength=n_images)
        with np.errstate(invalid="ignore"):
            return np.array(
                [times @ sums / (times @ queries) for times in _times_drawn(n_images, draws, seed)]
            )
    drawn = (
        np.repeat(values, times[image_of_query], axis=0) for times in _times_drawn(n_images, draws, seed)
    )
    return np.array([statistic(each) if len(each) else np.nan for each in drawn])


def interval(drawn: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of what was drawn (draws,); draws that are NaN are left out, here and below."""
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return np.nan, np.nan
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def two_sided_p(differences: np.ndarray) -> float:
    """Twice the share of draws (draws,) on the rarer side of zero, at most 1 and never 0.

    It agrees with `interval`: below 0.05 where, but for a draw or two, the interval leaves zero out.
    """
    differences = differences[~np.isnan(differences)]
    if not differences.size:
        return np.nan
    rarer = min((differences <= 0).sum(), (differences >= 0).sum())
    return min(1.0, float(2 * (1 + rarer) / (1 + len(differences))))


def _times_drawn(n_images: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """How often each image is in a draw of n_images with replacement: (n_images,), draw by draw."""
    random = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(random.integers(n_images, size=n_images), minlength=n_images)
