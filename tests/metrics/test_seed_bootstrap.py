"""The bootstrap over images and trainings, on data whose parts of the variance are known."""

import numpy as np
import pytest
from scipy import stats

from itr_core.metrics.bootstrap import interval, resampled
from itr_core.metrics.seed_bootstrap import resampled_with_seeds

N_IMAGES, QUERIES = 80, 2
IMAGE_OF_QUERY = np.repeat(np.arange(N_IMAGES), QUERIES)


def simulated(random: np.random.Generator, n: int, images: float, seeds: float, both: float) -> np.ndarray:
    """Values (n, q) of mean 0, from effects of images, of trainings and of both, by standard deviation."""
    of_images = images * random.standard_normal(N_IMAGES)
    of_seeds = seeds * random.standard_normal((n, 1))
    interaction = both * random.standard_normal((n, N_IMAGES))
    return (of_images + interaction)[:, IMAGE_OF_QUERY] + of_seeds


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize(
    ("images", "seeds", "both"),
    [
        (1.0, 0.0, 0.0),
        (1.0, 0.2, 0.0),  # the mean of the images varies by 0.11
        (0.1, 0.2, 0.0),
        (1.0, 0.1, 2.0),
        (0.0, 0.0, 1.0),
    ],
)
def test_interval_has_95_percent_coverage(n: int, images: float, seeds: float, both: float) -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        values = simulated(random, n, images, seeds, both)
        low, high = interval(resampled_with_seeds(values, IMAGE_OF_QUERY, N_IMAGES, draws=200))
        covered += low <= 0 <= high
    assert 0.92 < covered / 400 < 0.985


def test_an_interval_over_images_alone_is_too_narrow() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        values = simulated(random, 3, 1.0, 0.3, 0.0)
        low, high = interval(resampled(values.mean(axis=0), IMAGE_OF_QUERY, N_IMAGES, draws=200))
        covered += low <= 0 <= high
    assert covered / 200 < 0.8


def test_one_training_gives_the_bootstrap_over_images() -> None:
    values = np.random.default_rng(0).standard_normal((1, len(IMAGE_OF_QUERY)))
    found = resampled_with_seeds(values, IMAGE_OF_QUERY, N_IMAGES, draws=50, seed=3)
    np.testing.assert_array_equal(found, resampled(values[0], IMAGE_OF_QUERY, N_IMAGES, draws=50, seed=3))


def test_equal_images_leave_the_t_interval_of_the_trainings() -> None:
    values = np.repeat([[1.0], [2.0], [6.0]], len(IMAGE_OF_QUERY), axis=1)
    found = interval(resampled_with_seeds(values, IMAGE_OF_QUERY, N_IMAGES, draws=20_000))
    expected = stats.t.interval(0.95, 2, loc=3, scale=stats.sem([1, 2, 6]))
    assert found == pytest.approx(expected, rel=0.01)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\); expected \(trainings, queries\)"):
        resampled_with_seeds(np.ones(3), np.arange(3), 3)
    with pytest.raises(ValueError, match="NaN"):
        resampled_with_seeds(np.array([[1, np.nan]]), np.arange(2), 2)
