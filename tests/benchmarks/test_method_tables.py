"""Tables of the comparison of methods."""

import numpy as np
import pytest
from method_metrics import Queries
from method_runs import Runs
from method_tables import comparisons_of, difference, measurement, table_of, tables_of
from results import Measurement

from itr_core.metrics.bootstrap import interval
from itr_core.metrics.seed_bootstrap import resampled_with_seeds

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


def runs(*seeds: int, shift: float = 0.0) -> Runs:
    return {number: run(seed, shift) for number, seed in enumerate(seeds)}


def test_mean_and_spread_are_over_seeds() -> None:
    ours = runs(0, 1, 2)
    means = [np.nanmean(each["short_t2i_r10"]) for each in ours.values()]
    found = measurement(ours, {}, "short_t2i_r10")
    assert found.value == pytest.approx(np.mean(means), rel=1e-5)
    assert found.spread == pytest.approx(np.std(means, ddof=1), rel=1e-5)
    assert found.difference is None


def test_one_seed_has_no_spread_and_a_row_no_difference_to_itself() -> None:
    ours = runs(0)
    found = measurement(ours, ours, "rsum")
    assert found.spread is None
    assert found.difference is None


@pytest.mark.parametrize("metric", ["rsum", "t2i_r1", "short_t2i_r10"])
def test_the_difference_has_an_interval_over_images_and_paired_trainings(metric: str) -> None:
    ours, base = runs(0, 1, shift=1.0), runs(2, 3)
    gaps = np.stack([ours[number][metric] - base[number][metric] for number in (0, 1)])
    counts = ~np.isnan(gaps[0])
    image = np.arange(N_IMAGES) if metric == "rsum" else IMAGE_OF_CAPTION
    low, high = interval(resampled_with_seeds(gaps[:, counts], image[counts], N_IMAGES))
    found = difference(ours, base, metric)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx(
        (gaps[:, counts].mean(), low, high), rel=1e-4
    )
    assert found.trainings == 2


def test_only_trainings_with_the_same_seed_are_compared() -> None:
    ours, base = {1: run(0, 1.0), 7: run(1, 1.0)}, {0: run(2), 1: run(3), 2: run(4)}
    found = difference(ours, base, "rsum")
    assert found is not None
    assert found.value == pytest.approx((ours[1]["rsum"] - base[1]["rsum"]).mean(), rel=1e-5)
    assert found.trainings is None
    assert difference(ours, {0: run(2)}, "rsum") is None


def test_rows_are_grouped_and_metrics_that_nobody_has_left_out() -> None:
    found = tables_of(
        {
            "infonce": runs(0, 1),
            "coder": runs(2),
            "infonce, four captions": runs(6),
            "coder, no queue": runs(3),
            "coder, moving keys": runs(4),
        }
    )
    assert {name: [row.title for row in table.rows] for name, table in found.items()} == {
        "main_recall": ["infonce", "coder", "infonce, four captions"],
        "controls_recall": ["infonce", "coder, no queue", "coder, moving keys"],
        "comparisons": [
            f"coder, moving keys against coder, no queue: {metric}" for metric in ("rSum", "T2I R@1")
        ],
    }
    assert [*found["main_recall"].columns] == ["seeds", "rsum", "t2i_r1", "short_t2i_r10"]
    assert found["main_recall"].row("infonce").cells["seeds"] == 2
    assert [*tables_of({"infonce": runs(0)})] == ["main_recall"]


def test_another_baseline_can_be_chosen() -> None:
    measured = {"infonce": runs(0), "coder": runs(1), "ascl": runs(2)}
    table = table_of(["coder"], ["rsum"], measured, against="ascl")
    assert table is not None
    cell = table.rows[0].cells["rsum"]
    assert isinstance(cell, Measurement)
    assert cell.difference == difference(measured["coder"], measured["ascl"], "rsum")


def test_a_comparison_shows_the_difference_of_two_rows_as_its_value() -> None:
    measured = {"infonce, four captions": runs(0, 3), "ascl": runs(1, 4)}
    table = comparisons_of(measured)
    assert table is not None
    row = table.row("infonce, four captions against ascl: rSum")
    cell = row.cells["difference"]
    assert isinstance(cell, Measurement)
    expected = difference(measured["infonce, four captions"], measured["ascl"], "rsum")
    assert expected is not None
    assert (cell.value, cell.low, cell.high) == (expected.value, expected.low, expected.high)
    assert row.cells["seeds"] == cell.trainings == 2
    assert comparisons_of({"ascl": runs(1)}) is None
