"""Plots of geometry and query length show the values of their tables for every model."""

import numpy as np
import pandas as pd
import pytest

from analysis.figures.geometry import plane, similarities
from analysis.figures.query_length import by_length, truncated


@pytest.fixture
def geometry() -> dict[str, pd.DataFrame]:
    rows = ["alignment", "uniformity_joint", "uniformity_images"]
    columns = ["value", "low", "high"]
    return {
        "a": pd.DataFrame([[0.5, 0.4, 0.7], [-3, -3.1, -2.9], [-2, -2.1, -1.9]], rows, columns),
        "b": pd.DataFrame([[0.6, 0.5, 0.7], [-2, -2.1, -1.9], [-1, -1.1, -0.9]], rows, columns),
    }


def test_plane_shows_each_model_with_its_own_symbol_and_intervals(geometry: dict[str, pd.DataFrame]) -> None:
    a, b = plane(geometry).data
    assert (a.name, a.x, a.y) == ("a", (-3,), (0.5,))
    assert a.error_y.array[0] == pytest.approx(0.2)
    assert a.error_y.arrayminus[0] == pytest.approx(0.1)
    assert a.marker.symbol != b.marker.symbol
    assert plane(geometry, "uniformity_images").data[0].x == (-2,)
    assert [note.text for note in plane(geometry).layout.annotations] == ["better"]


def test_similarities_have_a_panel_per_model_and_one_legend() -> None:
    table = pd.DataFrame({"left": [0, 0.5], "right": [0.5, 1], "positive": [0, 2.0], "negative": [1.5, 0.5]})
    drawn = similarities({"a": table, "b": table})
    assert [trace.name for trace in drawn.data] == ["non-pairs", "pairs"] * 2
    assert [trace.showlegend for trace in drawn.data] == [True, True, False, False]
    assert list(drawn.data[1].x) == [0.25, 0.75]
    assert list(drawn.data[1].y) == [0, 2]
    assert drawn.data[0].line.dash != drawn.data[1].line.dash
    assert {note.text for note in drawn.layout.annotations} == {"a", "b"}


def lengths(x: str, images: str, values: list[str] | list[int], fits: float) -> pd.DataFrame:
    table = pd.DataFrame({x: values, "queries": 40, images: fits, "median_rank": 3.0})
    for k in (1, 5, 10):
        table = table.assign(**{f"r{k}": 10.0 * k, f"r{k}_low": 9.0 * k, f"r{k}_high": 11.0 * k})
    return table


def test_curves_have_bands_above_the_numbers_of_true_images_and_of_queries() -> None:
    table = lengths("bucket", "true_images", ["1-2", "3-4"], 12.5)
    drawn = by_length({"a": table, "b": table}, k=5)
    band, curve, *_, fits, bars = drawn.data
    assert list(curve.y) == [50, 50]
    assert list(band.y) == [55, 55, 45, 45]
    assert list(band.x) == ["1-2", "3-4", "3-4", "1-2"]
    assert list(fits.y) == [12.5, 12.5]
    assert list(bars.y) == [40, 40]
    assert drawn.data[3].line.dash != curve.line.dash
    assert "R@5" in drawn.layout.title.text
    assert drawn.layout.xaxis.type == "category"  # else plotly reads 3-4 as a date


def test_the_lower_panels_show_every_gallery_whose_queries_differ() -> None:
    tables = {
        "a": lengths("bucket", "true_images", ["1-2", "3-4"], 12.5),
        "b": lengths("bucket", "true_images", ["1-4"], 3.0),
        "c": lengths("bucket", "true_images", ["1-4"], np.nan),
    }
    below = [(trace.name, trace.type, list(trace.y)) for trace in by_length(tables).data[6:]]
    assert below == [
        ("a", "scatter", [12.5, 12.5]), ("a", "bar", [40, 40]), ("b", "scatter", [3.0]), ("b", "bar", [40]),
        ("c", "bar", [40]),
    ]  # fmt: skip


def test_buckets_of_different_galleries_are_in_order_of_length() -> None:
    tables = {
        "long": lengths("bucket", "true_images", ["1-2", "11-12", "25+"], 1.0),
        "short": lengths("bucket", "true_images", ["3-8", "11-15", "16+"], 1.0),
    }
    order = by_length(tables).layout.xaxis.categoryarray
    assert list(order) == ["1-2", "3-8", "11-12", "11-15", "16+", "25+"]


def test_without_known_truth_there_is_no_panel_of_true_images() -> None:
    assert len(by_length({"a": lengths("bucket", "true_images", ["1-2"], np.nan)}).data) == 3
    words = truncated({"a": lengths("words", "sharing", [1, 2, 3], 4.0)}, dark=True)
    assert len(words.data) == 4
    assert list(words.data[1].x) == [1, 2, 3]
    assert words.layout.template.layout.font.color == "#e7e5e4"
