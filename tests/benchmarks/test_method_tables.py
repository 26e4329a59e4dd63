"""Tables of the comparison of methods."""

import numpy as np
import pytest
from method_metrics import Queries
from method_tables import comparisons_of, measurement, table_of, tables_of
from results import Estimate, Measurement

from itr_core.metrics.bootstrap import image_bootstrap

N_IMAGES = 50
IMAGE_OF_CAPTION = np.repeat(np.arange(N_IMAGES), 2)


def run(seed: int, shift: float = 0.0) -> Queries:
    """One training: three metrics with a value per image or per caption."""
    rng = np.random.default_rng(seed)
    short = rng.normal(size=2 * N_IMAGES) + shift
    short[::3] = np.nan
    return {
        "rsum": rng.normal(size=N_IMAGES) + shift,
        "t2i_r1": rng.normal(size=2 * N_IMAGES) + shift,
        "short_t2i_r10": short,
        "image_of_caption": IMAGE_OF_CAPTION,
    }


def test_mean_and_spread_are_over_seeds() -> None:
    runs = [run(seed) for seed in range(3)]
    means = [np.nanmean(each["short_t2i_r10"]) for each in runs]
    found = measurement(runs, [], "short_t2i_r10")
    assert found.value == pytest.approx(np.mean(means), rel=1e-5)
    assert found.spread == pytest.approx(np.std(means, ddof=1), rel=1e-5)
    assert found.difference is None


def test_one_seed_has_no_spread_and_a_row_no_difference_to_itself() -> None:
    runs = [run(0)]
    found = measurement(runs, runs, "rsum")
    assert found.spread is None
    assert found.difference is None


@pytest.mark.parametrize("metric", ["rsum", "t2i_r1", "short_t2i_r10"])
def test_the_difference_has_the_interval_of_a_paired_bootstrap(metric: str) -> None:
    ours, base = [run(seed, shift=1.0) for seed in (0, 1)], [run(seed) for seed in (2, 3)]
    gaps = np.mean([a[metric] - b[metric] for a, b in zip(ours, base, strict=True)], axis=0)
    counts = ~np.isnan(gaps)
    image = np.arange(N_IMAGES) if metric == "rsum" else IMAGE_OF_CAPTION
    low, high = image_bootstrap(gaps[counts], image[counts], N_IMAGES)
    difference = measurement(ours, base, metric).difference
    assert difference is not None
    assert difference.low is not None
    assert (difference.value, difference.low, difference.high) == pytest.approx(
        (gaps[counts].mean(), low, high), rel=1e-4
    )
    assert difference.low < difference.value


def test_rows_are_grouped_and_metrics_that_nobody_has_left_out() -> None:
    runs = {
        "infonce": [run(0), run(1)],
        "coder": [run(2)],
        "infonce, two captions": [run(5)],
        "infonce, four captions": [run(6)],
        "coder, no queue": [run(3)],
        "infonce, from pixels": [run(4)],
    }
    tables = tables_of("picturebook", runs)
    assert {name: [row.title for row in table.rows] for name, table in tables.items()} == {
        "main_recall": ["infonce", "coder", "infonce, two captions"],
        "controls_recall": ["infonce", "infonce, four captions", "coder, no queue"],
        "pixels_recall": ["infonce, from pixels"],
        "comparisons": ["coder, no queue against coder: rSum"],
    }
    assert [*tables["main_recall"].columns] == ["seeds", "rsum", "t2i_r1", "short_t2i_r10"]
    assert tables["main_recall"].row("infonce").cells["seeds"] == 2
    assert [*tables_of("flickr8k", {"infonce": [run(0)]})] == ["main_recall"]


def test_another_baseline_can_be_chosen() -> None:
    runs = {"infonce": [run(0)], "coder": [run(1)], "ascl": [run(2)]}
    table = table_of(["coder"], ["rsum"], runs, against="ascl")
    assert table is not None
    cell = table.rows[0].cells["rsum"]
    assert isinstance(cell, Measurement)
    assert cell.difference == measurement(runs["coder"], runs["ascl"], "rsum").difference


def test_a_comparison_shows_the_difference_of_two_rows_as_its_value() -> None:
    runs = {"infonce, two captions": [run(0)], "ascl": [run(1)]}
    table = comparisons_of(runs)
    assert table is not None
    cell = table.row("infonce, two captions against ascl: rSum").cells["difference"]
    assert isinstance(cell, Measurement)
    expected = measurement(runs["infonce, two captions"], runs["ascl"], "rsum").difference
    assert Estimate(value=cell.value, low=cell.low, high=cell.high) == expected
    assert comparisons_of({"ascl": [run(1)]}) is None
