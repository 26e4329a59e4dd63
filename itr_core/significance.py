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

DRAWS = 1000
Statistic = Callable[[np.ndarray], float]


class Difference(NamedTuple):
    """The mean of one model minus that of another, its 95 % interval, and a two-sided p value."""

    difference: float
    low: float
    high: float
    p: float


def image_bootstrap(
    values: np.ndarray,
    image_of_query: np.ndarray,
    n_images: int,
    statistic: Statistic = np.mean,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic of queries, over draws of n_images images with replacement.

    Args:
        values: (q,) a number for each query, such as 1.0 for a hit; no NaN. Without any, the interval is NaN.
        image_of_query: (q,) integers in [0, n_images). Images may have any number of queries, also none.
        n_images: number of images of the source.
        statistic: (any number of values,) -> float; the mean is the fastest by far.
        draws: number of draws.
        seed: the same seed and n_images give the same draws of images.

    Raises:
        ValueError: shapes that do not fit, NaN in the values.

    References:
        Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13.
    """
    if statistic is np.mean:
        return interval(resampled_means(values, image_of_query, n_images, draws=draws, seed=seed))
    _check(values, image_of_query)
    drawn = (np.repeat(values, times[image_of_query]) for times in _times_drawn(n_images, draws, seed))
    return interval(np.array([statistic(each) if each.size else np.nan for each in drawn]))


def paired_bootstrap(
    a: np.ndarray,
    b: np.ndarray,
    image_of_query: np.ndarray,
    n_images: int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Difference:
    """Whether the mean of a differs from that of b, both (q,), measured on the same queries.

    Arguments and errors as in `image_bootstrap`.
    """
    gap = np.asarray(a, dtype=float) - b
    drawn = resampled_means(gap, image_of_query, n_images, draws=draws, seed=seed)
    return Difference(float(gap.mean()), *interval(drawn), two_sided_p(drawn))


def resampled_means(
    values: np.ndarray, image_of_query: np.ndarray, n_images: int, *, draws: int = DRAWS, seed: int = 0
) -> np.ndarray:
    """Means of the values (q,) or (q, c) in every draw of images, (draws,) or (draws, c) float64.

    A draw without any query is NaN. Sums and differences of means with the same seed and n_images are sums
    and differences in the same draws: rSum is the sum of six. Arguments and errors as in `image_bootstrap`.
    """
    _check(values, image_of_query)
    sums = np.zeros((n_images, *np.shape(values)[1:]))
    np.add.at(sums, image_of_query, values)
    queries = np.bincount(image_of_query, minlength=n_images)
    with np.errstate(invalid="ignore"):
        return np.array([times @ sums / (times @ queries) for times in _times_drawn(n_images, draws, seed)])


def interval(drawn: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of what was drawn (draws,), draws that are NaN left out."""
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return np.nan, np.nan
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def two_sided_p(differences: np.ndarray) -> float:
    """Twice the share of draws (draws,) on the rarer side of zero, at most 1 and never 0.

    It agrees with `interval`: below 0.05 where, but for a draw or two, the interval leaves zero out.
    """
    rarer = min((differences <= 0).sum(), (differences >= 0).sum())
    return min(1.0, float(2 * (1 + rarer) / (1 + len(differences))))


def _times_drawn(n_images: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """How often each image is in a draw of n_images with replacement: (n_images,), draw by draw."""
    random = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(random.integers(n_images, size=n_images), minlength=n_images)


def _check(values: np.ndarray, image_of_query: np.ndarray) -> None:
    if np.shape(image_of_query) != np.shape(values)[:1]:
        raise ValueError(
            f"{np.shape(values)} values, but {np.shape(image_of_query)} images of queries; each needs one."
        )
    if np.isnan(values).any():
        raise ValueError("There is NaN among the values; leave out queries without a right answer first.")
