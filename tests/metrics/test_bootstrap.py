"""The bootstrap over images against scipy's, against theory, and with what it must tell apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from itr_core.metrics.bootstrap import image_bootstrap, interval, resampled, two_sided_p
from itr_core.metrics.samples import MetricSamples, Queries, QuerySet


def test_one_query_per_image_equals_scipy_for_each_draw() -> None:
    values = np.random.default_rng(0).random(200)
    reference = stats.bootstrap(
        (values,), np.mean, n_resamples=500, method="percentile", rng=np.random.default_rng(7)
    )
    found = resampled(values, np.arange(200), 200, draws=500, seed=7)
    np.testing.assert_allclose(found, reference.bootstrap_distribution)
    assert image_bootstrap(values, np.arange(200), 200, draws=500, seed=7) == pytest.approx(
        tuple(reference.confidence_interval)
    )


@given(st.integers(0, 9999))
def test_statistics_use_all_queries_of_the_drawn_images(seed: int) -> None:
    random = np.random.default_rng(seed)
    values, image_of_caption = (
        random.random(12),
        np.sort(random.integers(0, 6, 12)),
    )  # some images without a query
    for statistic in (np.mean, np.median, np.max):
        draw = np.random.default_rng(seed)
        naive = []
        for _ in range(50):
            images = draw.integers(6, size=6)
            naive.append(
                statistic(found)
                if len(found := np.concatenate([values[image_of_caption == image] for image in images]))
                else np.nan
            )
        expected = np.nanpercentile(naive, [2.5, 97.5])
        assert image_bootstrap(values, image_of_caption, 6, statistic, draws=50, seed=seed) == pytest.approx(
            expected
        )


def test_identical_captions_count_as_one_observation() -> None:
    """Five equal queries an image say no more than one: the interval of queries drawn one by one is wrong."""
    hits = (np.random.default_rng(0).random(400) < 0.3).astype(float)
    once = image_bootstrap(hits, np.arange(400), 400)
    assert image_bootstrap(np.repeat(hits, 5), np.repeat(np.arange(400), 5), 400) == pytest.approx(once)
    error = np.sqrt(hits.mean() * (1 - hits.mean()) / 400)
    assert once == pytest.approx((hits.mean() - 1.96 * error, hits.mean() + 1.96 * error), abs=error / 4)


def test_interval_has_95_percent_coverage() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        skill = random.random(150)  # an image is easy or hard for all its captions
        hits = random.random((150, 5)) < skill[:, None]
        low, high = image_bootstrap(hits.ravel(), np.repeat(np.arange(150), 5), 150, draws=200)
        covered += low <= 0.5 <= high
    assert 0.90 < covered / 300 < 0.98


def test_a_statistic_of_two_columns_receives_whole_rows() -> None:
    random = np.random.default_rng(0)
    x, image_of_caption = random.random(60), np.repeat(np.arange(20), 3)
    both = np.stack([x, 2 * x + 1], axis=1)
    low, high = image_bootstrap(both, image_of_caption, 20, lambda rows: np.corrcoef(rows.T)[0, 1], draws=50)
    assert (low, high) == pytest.approx((1, 1))


def test_the_same_seed_draws_the_same_images() -> None:
    random = np.random.default_rng(0)
    a, b, image_of_caption = random.random(30), random.random(30), random.integers(0, 10, 30)
    total = resampled(a, image_of_caption, 10, draws=20) + resampled(b, image_of_caption, 10, draws=20)
    np.testing.assert_allclose(total, resampled(a + b, image_of_caption, 10, draws=20))


def means(values: np.ndarray, image_of_query: np.ndarray, n_images: int) -> MetricSamples:
    """A metric that is the mean of these values."""
    return MetricSamples("standard", "t2i", "r1", (Queries(values, image_of_query, n_images),))


def test_a_model_differs_from_a_better_one_and_not_from_itself() -> None:
    random = np.random.default_rng(0)
    skill, image_of_caption = random.random(500), np.repeat(np.arange(100), 5)
    ours, better = means(skill, image_of_caption, 100), means(skill + 0.01, image_of_caption, 100)
    assert ours.minus(ours) == (0, 0, 0, 1)
    gain = better.minus(ours)  # far less than the spread of the queries, but the same for all of them
    assert gain.difference == pytest.approx(0.01)
    low, high = image_bootstrap(skill, image_of_caption, 100)
    assert gain.p < 0.01 < high - low
    loss = ours.minus(better)
    assert loss.low == pytest.approx(-gain.high)
    assert loss.p == gain.p


def test_the_difference_is_the_bootstrap_of_the_differences_of_the_queries() -> None:
    random = np.random.default_rng(1)
    a, b, image_of_caption = random.random(60), random.random(60), random.integers(0, 20, 60)
    found = means(a, image_of_caption, 20).minus(means(b, image_of_caption, 20))
    assert found.difference == pytest.approx((a - b).mean())
    assert (found.low, found.high) == pytest.approx(image_bootstrap(a - b, image_of_caption, 20))
    assert found.p == pytest.approx(two_sided_p(resampled(a - b, image_of_caption, 20)))


def test_only_the_same_metric_of_as_many_images_can_be_compared() -> None:
    ours = means(np.ones(3), np.arange(3), 3)
    with pytest.raises(ValueError, match="t2i_r1 of 3 images and t2i_r1 of 4 images"):
        ours.minus(means(np.ones(3), np.arange(3), 4))
    with pytest.raises(ValueError, match="t2i_r1 of 3 images and i2t_r5"):
        ours.minus(QuerySet("standard", "i2t", np.arange(3), 3).mean("r5", np.ones(3)))


def test_p_is_uniform_for_equal_models() -> None:
    random = np.random.default_rng(0)
    rows = np.arange(100)
    p = [two_sided_p(resampled(random.standard_normal(100), rows, 100, draws=200)) for _ in range(300)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09
    assert 0.4 < np.mean(p) < 0.6


def test_p_counts_the_rarer_side() -> None:
    assert two_sided_p(np.array([-1.0] + [1.0] * 98)) == pytest.approx(2 * 2 / 100)
    assert two_sided_p(np.ones(999)) == pytest.approx(0.002)
    assert two_sided_p(np.array([np.nan, *np.ones(999)])) == pytest.approx(0.002)
    assert np.isnan(two_sided_p(np.array([np.nan])))


def test_draws_without_queries_are_ignored() -> None:
    assert np.isnan(image_bootstrap(np.array([]), np.array([], dtype=int), 5)).all()
    assert image_bootstrap(np.array([3.0]), np.array([1]), 5) == (3, 3)  # some draws have no query at all
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"image_of_query has shape \(2,\); expected \(3,\)"):
        image_bootstrap(np.ones(3), np.array([0, 1]), 2)
    with pytest.raises(ValueError, match="NaN"):
        image_bootstrap(np.array([1, np.nan]), np.array([0, 1]), 2, np.median)
