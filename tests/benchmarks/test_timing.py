"""benchmarks/timing.py: alternating functions, ratios, and memory saved by autograd."""

from itertools import count

import pytest
import torch
from timing import alternate, median_ratio, saved_bytes


def test_functions_alternate_and_warm_up_rounds_are_not_counted() -> None:
    calls: list[str] = []
    ticks = count()
    seconds = alternate(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        rounds=2,
        warm_up=1,
        clock=lambda: float(next(ticks) ** 2),
    )
    assert "".join(calls) == "ababab"
    # Each call reads the clock twice; the fifth reading, of the first counted call, is 4 squared.
    assert seconds == {"a": [25.0 - 16.0, 81.0 - 64.0], "b": [49.0 - 36.0, 121.0 - 100.0]}


def test_the_ratio_is_taken_within_a_round() -> None:
    assert median_ratio([1.0, 20.0, 3.0], [1.0, 10.0, 1.0]) == 2.0
    with pytest.raises(ValueError, match="shorter"):
        median_ratio([1.0, 2.0], [1.0])


def test_a_storage_that_is_saved_twice_counts_once() -> None:
    x = torch.ones(1000, requires_grad=True)
    assert saved_bytes(lambda: x * x) == 4000
    assert saved_bytes(lambda: x * x * x) == 8000  # x and x * x
    assert saved_bytes(lambda: x.detach() * 2) == 0
