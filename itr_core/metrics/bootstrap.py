"""The bootstrap over images: confidence intervals of metrics, and comparison of two models.

The captions of one image are not independent, so whole images are drawn with all their queries; drawing
queries would make intervals too narrow. `scipy.stats.bootstrap`, with which the tests compare this module,
draws rows of one sample and keeps all draws. Here the drawn unit (an image) and the averaged unit (a query)
differ, memory does not grow with the number of draws, and metrics of the same images use the same draws, so
that they can be added and compared.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from itr_core.metrics.arrays import as_array, as_image_rows

DRAWS = 1000
"""Default number of draws."""
Statistic = Callable[[np.ndarray], float]
"""Maps the values of queries to a number, such as their mean."""


class Difference(NamedTuple):
    """A metric of one model minus that of another, its 95 % interval over images and the two-sided p value.

    All four are NaN if no draw has a query.
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
    """Compute the 95 % percentile interval of a statistic of queries over draws of images with replacement.

    Args:
        values: (q,) one number per query, such as 1.0 for a hit, or (q, c) several; without NaN. Without
            queries the interval is NaN.
        image_of_query: (q,) integers in [0, n_images). Images may have any number of queries, including none.
        n_images: number of images of the source.
        statistic: maps values to a number; the mean is the fastest by far.
        draws: number of draws.
        seed: the same seed and n_images give the same draws of images.

    Raises:
        ValueError: inconsistent shapes, or NaN in the values.

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
    """Compute the statistic in every draw of images, (draws,) float64; NaN if a draw has no query.

    Results with the same seed and n_images use the same draws, so that they can be added or subtracted:
    rSum is the sum of six recalls. Arguments and errors are those of `image_bootstrap`.
    """
    values = as_array(values)
    image_of_query = as_image_rows(image_of_query, n_images, len(values), "image_of_query")
    if np.isnan(values).any():
        raise ValueError("The values contain NaN; remove queries without a correct item first.")
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
    """Return the central 95 % of draws (draws,); NaN draws are ignored."""
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return np.nan, np.nan
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def two_sided_p(differences: np.ndarray) -> float:
    """Return twice the fraction of draws (draws,) on the rarer side of zero, in (0, 1].

    It is consistent with `interval`: it is below 0.05 if the interval excludes zero, up to one or two
    draws. NaN draws are ignored.
    """
    differences = differences[~np.isnan(differences)]
    if not differences.size:
        return np.nan
    rarer = min((differences <= 0).sum(), (differences >= 0).sum())
    return min(1.0, float(2 * (1 + rarer) / (1 + len(differences))))


def _times_drawn(n_images: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield, for each draw of n_images with replacement, how often each image is drawn: (n_images,)."""
    random = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(random.integers(n_images, size=n_images), minlength=n_images)
