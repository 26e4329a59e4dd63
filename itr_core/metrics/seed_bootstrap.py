"""The bootstrap over images and trainings: intervals of a metric that was measured after several trainings.

Trainings that differ by their seed are measured on the same images, so images and trainings are crossed: the
variance of the mean over n trainings is

    images / N + trainings / n + interaction / (n N)                          (all three from n x N values)

An interval over images alone, of a mean over trainings, leaves out the second part. Drawing the trainings
with replacement, too, does not add enough of it: the draws of three values vary a third less than the mean of
three values, and their percentiles are those of a normal distribution, where three values need a t
distribution. The images are therefore drawn, and the part of the trainings is drawn from a t distribution.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from itr_core.metrics.arrays import as_array, as_image_rows
from itr_core.metrics.bootstrap import DRAWS, resampled


def resampled_with_seeds(
    values: ArrayLike, image_of_query: ArrayLike, n_images: int, *, draws: int = DRAWS, seed: int = 0
) -> np.ndarray:
    """Compute the mean over trainings and queries in draws of images and trainings, (draws,) float64.

    `itr_core.metrics.bootstrap.interval` makes an interval of them. With one training, these are the draws of
    `itr_core.metrics.bootstrap.resampled`, and the interval is over images only.

    Args:
        values: (n, q) numbers of n trainings and q queries, such as differences of two methods whose
            trainings have the same seed; without NaN.
        image_of_query: (q,) integers in [0, n_images).
        n_images: number of images of the source, N.
        draws: number of draws.
        seed: random seed.

    Raises:
        ValueError: inconsistent shapes, or NaN in the values.

    References:
        Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007, arXiv:0712.1111 (variances of
        crossed factors); Hesterberg, What Teachers Should Know about the Bootstrap, The American Statistician
        2015, arXiv:1411.5279, section 3.2 (percentile intervals of few values are too narrow).
    """
    values = as_array(values)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"values has shape {values.shape}; expected (trainings, queries).")
    n, n_queries = values.shape
    mean = values.mean(axis=0)
    of_images = resampled(mean, image_of_query, n_images, draws=draws, seed=seed)
    if n == 1 or not n_queries:
        return of_images
    rows = as_image_rows(image_of_query, n_images, n_queries, "image_of_query")
    means = values.mean(axis=1)
    centred = (values - means[:, None]) / n_queries
    shares = np.stack([np.bincount(rows, each, n_images) for each in centred])  # (n, N), each row sums to 0
    average = shares.mean(axis=0)
    interaction = ((shares - average) ** 2).sum() / (n - 1)  # of the mean of one training
    images = (average**2).sum()
    # The draws of images contain the interaction once, and so do the means of the trainings.
    kept = np.sqrt(max(0.0, 1 - interaction / n / images)) if images else 0.0
    levels = (np.arange(draws) + 0.5) / draws  # fewer random numbers: the tails of t are exact
    t = np.random.default_rng(seed + 1).permutation(stats.t.ppf(levels, n - 1))
    center = mean.mean()
    return np.asarray(center + kept * (of_images - center) + t * means.std(ddof=1) / np.sqrt(n))
