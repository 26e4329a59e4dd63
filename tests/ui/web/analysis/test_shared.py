"""What all visitors of the analysis page see alike: computed once, and never taken for another gallery's."""

import gc
import itertools
import threading
import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from ui.web.analysis import shared as module
from ui.web.analysis.shared import MOST, shared
from ui.web.own.visitors import OWN


def analysis_of(checksum: str) -> Any:
    return SimpleNamespace(gallery=SimpleNamespace(manifest=SimpleNamespace(checksum=checksum)))


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_kept", defaultdict(OrderedDict))


def test_a_class_computes_a_value_once() -> None:
    together, drawn = threading.Barrier(8), itertools.count()

    def visit(_: int) -> int:
        together.wait(10)
        return shared("plane", {"a": analysis_of("1")}, lambda: next(drawn))

    with ThreadPoolExecutor(8) as visitors:
        assert set(visitors.map(visit, range(8))) == {0}
    assert next(drawn) == 1


def test_a_visitor_does_not_wait_for_what_others_look_at() -> None:
    slow, other = threading.Event(), {"b": analysis_of("2")}
    with ThreadPoolExecutor(1) as visitors:
        map_of_all = visitors.submit(shared, "map", {"a": analysis_of("1")}, lambda: slow.wait(30))
        assert shared("plane", other, lambda: "other") == "other"
        slow.set()
        assert map_of_all.result() is True


@pytest.mark.parametrize(
    ("name", "galleries", "settings"),
    [
        ("similarities", [("a", "1")], (5,)),
        ("plane", [("a", "2")], (5,)),  # built again
        ("plane", [("b", "1")], (5,)),  # its name is in the plot
        ("plane", [("a", "1"), ("b", "2")], (5,)),
        ("plane", [("a", "1")], (10,)),
    ],
)
def test_what_differs_has_another_value(
    name: str, galleries: list[tuple[str, str]], settings: tuple[int, ...]
) -> None:
    shared("plane", {"a": analysis_of("1")}, lambda: "first", 5)
    others = {own: analysis_of(checksum) for own, checksum in galleries}
    assert shared(name, others, lambda: "second", *settings) == "second"
    assert shared("plane", {"a": analysis_of("1")}, lambda: "third", 5) == "first"


def test_the_order_of_the_galleries_counts() -> None:
    one, other = analysis_of("1"), analysis_of("2")
    shared("plane", {"a": one, "b": other}, lambda: "first")
    assert shared("plane", {"b": other, "a": one}, lambda: "second") == "second"


def test_the_value_that_was_used_longest_ago_is_dropped() -> None:
    one = {"a": analysis_of("1")}
    for number in range(MOST):
        shared("plane", one, lambda: "kept", number)
    assert shared("plane", one, lambda: "new", 0) == "kept"
    shared("plane", one, lambda: "kept", MOST)
    assert [shared("plane", one, lambda: "new", number) for number in (0, 1)] == ["kept", "new"]


def test_values_of_one_name_do_not_displace_those_of_another() -> None:
    one = {"a": analysis_of("1")}
    shared("map", one, lambda: "map")
    for number in range(2 * MOST):
        shared("misses", one, lambda: "misses", number)
    assert shared("map", one, lambda: "new") == "map"


def test_nothing_of_a_visitors_own_pictures_is_kept() -> None:
    shared("plane", {"a": analysis_of("1"), OWN: analysis_of("2")}, lambda: "first")
    assert not module._kept


def test_a_gallery_is_not_kept_in_memory() -> None:
    def visit() -> Callable[[], Any]:
        analysis = analysis_of("1")
        analysis.pictures = type("Pictures", (), {})()
        shared("plane", {"a": analysis}, lambda: len(vars(analysis)))
        return weakref.ref(analysis.pictures)

    pictures = visit()
    gc.collect()
    assert pictures() is None
    assert len(module._kept) == 1


def test_a_value_that_could_not_be_computed_is_computed_again() -> None:
    def fail() -> str:
        raise ValueError("no")

    one = {"a": analysis_of("1")}
    with pytest.raises(ValueError, match="no"):
        shared("plane", one, fail)
    assert shared("plane", one, lambda: "right") == "right"
