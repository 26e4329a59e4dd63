"""The catalogue covers every metric of the geometry of an embedding space."""

import pytest

from analysis.geometry.catalogue import GEOMETRY
from itr_core.metrics.catalogue import METRICS, Metric


@pytest.mark.parametrize(("name", "metric"), GEOMETRY.items())
def test_every_entry_is_complete(name: str, metric: Metric) -> None:
    assert metric.name == name
    assert metric.title
    assert metric.definition.endswith(".")
    assert metric.source
    low, high = metric.range
    assert low is None or high is None or low < high


def test_names_and_titles_are_unique_among_all_metrics() -> None:
    every = [*GEOMETRY.values(), *METRICS.values()]
    assert len({metric.name for metric in every}) == len({metric.title for metric in every}) == len(every)
