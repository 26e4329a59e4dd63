"""The catalogue covers every metric that `evaluate` reports, and names the queries of each direction."""

import numpy as np
import pytest

from itr_core.evaluation.embedded import Embedded
from itr_core.evaluation.protocols import PROTOCOLS
from itr_core.metrics.catalogue import METRICS, Metric
from itr_core.pairs import load_pairs


@pytest.mark.parametrize(("name", "metric"), METRICS.items())
def test_every_entry_is_complete(name: str, metric: Metric) -> None:
    assert metric.name == name
    assert metric.title
    assert metric.definition.endswith(".")
    low, high = metric.range
    assert low is None or high is None or low < high
    assert metric.unit != "%" or metric.range == (0, 100)


def test_titles_are_unique() -> None:
    titles = [metric.title for metric in METRICS.values()]
    assert len(set(titles)) == len(titles)


def test_every_metric_of_the_protocols_is_in_the_catalogue_and_within_its_range() -> None:
    pairs = load_pairs("picturebook:val@30")
    image_of_caption = pairs.flat_captions()[1]
    random = np.random.default_rng(0)
    images = random.standard_normal((30, 8))
    texts = images[image_of_caption] + random.standard_normal((len(image_of_caption), 8))
    unit = [(x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32) for x in (images, texts)]
    reported = set()
    for name in ("standard", "exact", "uni-modal", "labels"):
        for samples in PROTOCOLS[name](Embedded(pairs, *unit)):
            low, high = METRICS[samples.metric].range
            assert low is None or low <= samples.value
            assert high is None or samples.value <= high
            reported.add(samples.metric)
    assert METRICS.keys() - reported == {"accuracy"}  # needs a file of expert judgments


def test_definitions_name_the_queries_of_a_direction() -> None:
    r5 = METRICS["r5"]
    assert r5.definition_in("") == r5.definition
    assert r5.definition_in("i2t") == "Percentage of images with a relevant caption at ranks 1 to 5."
    assert [r5.title_in(direction) for direction in ("i2t", "")] == ["I2T R@5", "R@5"]
