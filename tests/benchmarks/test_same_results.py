"""benchmarks/same_results.py and what it uses: results of two checkouts are compared to the last digit."""

import math
import runpy
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from itr_core.methods import METHODS

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ROWS = [{"direction": "t2i", "value": 50.62}, {"direction": "i2t", "value": 95.4}]


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield runpy.run_path(str(BENCHMARKS / "same_results.py"))


@pytest.fixture(scope="module")
def differences(script: Any) -> Callable[..., list[str]]:
    return lambda before, after: list(script["differences"](before, after))


def test_equal_results_have_no_difference(differences: Callable[..., list[str]]) -> None:
    assert (
        differences(
            {"rows": ROWS, "skipped": None, "nan": math.nan}, {"nan": math.nan, "skipped": None, "rows": ROWS}
        )
        == []
    )


def test_a_changed_last_digit_is_found_with_its_path(differences: Callable[..., list[str]]) -> None:
    changed = [ROWS[0], ROWS[1] | {"value": math.nextafter(95.4, 100)}]
    assert differences({"rows": ROWS}, {"rows": changed}) == [
        "rows[1].value: 95.4 before, 95.40000000000002 after"
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [(1, 1.0), (1, True), (0.0, -0.0), ("1.0", "1.00"), (None, math.nan), ([], {}), ("", None)],
)
def test_what_only_looks_equal_differs(
    differences: Callable[..., list[str]], before: Any, after: Any
) -> None:
    assert len(differences({"value": before}, {"value": after})) == 1


def test_a_missing_and_a_new_row_are_named(differences: Callable[..., list[str]]) -> None:
    assert differences({"rows": ROWS}, {"rows": ROWS[1:]}) == [
        "rows: 2 items before, 1 after",
        "rows: missing after: {'direction': 't2i', 'value': 50.62}",
    ]
    assert differences({"rows": ROWS[1:]}, {"rows": ROWS})[1:] == [
        "rows: new after: {'direction': 't2i', 'value': 50.62}"
    ]
    assert len(differences(ROWS, ROWS[::-1])) == 4  # the order of rows counts


def test_a_missing_and_a_new_key_are_named(differences: Callable[..., list[str]]) -> None:
    assert differences({"a": {"b": 1}}, {"a": {"c": 1}}) == [
        "a.b: missing after, was 1",
        "a.c: new after, is 1",
    ]


KEYS = {"way": "direction", "hidden_misses": "false_negatives", "shown": "depicted"}
TEXTS = {"cause": {"hidden positive": "false negative"}}


def test_keys_ends_of_keys_and_declared_values_get_their_new_names(script: Any) -> None:
    before = {
        "rows": [{"way": "t2i", "cause": "hidden positive", "shown": "shown", "query": "hidden positive"}],
        "exact_t2i_hidden_misses": 60.1,
        "always": "way",
    }
    assert script["renamed"](before, KEYS, TEXTS) == {
        "rows": [
            {"direction": "t2i", "cause": "false negative", "depicted": "shown", "query": "hidden positive"}
        ],
        "exact_t2i_false_negatives": 60.1,
        "always": "way",
    }


def test_a_name_that_was_not_replaced_is_a_difference(
    script: Any, differences: Callable[..., list[str]]
) -> None:
    before = script["renamed"]({"way": "t2i"}, KEYS, TEXTS)
    assert differences(before, {"direction": "t2i"}) == []
    assert len(differences(before, {"way": "t2i"})) == 2


def test_only_declared_keys_are_ignored_at_any_depth(script: Any) -> None:
    value = {"rows": [{"seconds": 1.5, "value": 2, "inner": {"seconds": 3}}], "seconds": 4}
    assert script["without"](value, {"seconds"}) == {"rows": [{"value": 2, "inner": {}}]}


def test_differences_are_printed_and_counted_under_the_names_of_after(
    script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {"rows": [{"way": "t2i", "value": 1.0}], "code_version": "0.1+aa"}
    after = {"rows": [{"direction": "t2i", "value": 1.0}], "code_version": "0.2+bb"}
    assert script["compared"]("evaluation/x", lambda: before, lambda: after) == 0
    after["rows"] = [{"direction": "t2i", "value": 1.5}]
    assert script["compared"]("evaluation/x", lambda: before, lambda: after) == 1
    assert "rows[0].value: 1.0 before, 1.5 after" in capsys.readouterr().out


def test_a_case_that_fails_is_a_difference(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> Any:
        raise RuntimeError("exit code 2")

    assert script["compared"]("codes", dict, fail) == 1
    assert "failed: exit code 2" in capsys.readouterr().out


def test_every_starter_and_method_is_covered(script: Any) -> None:
    shipped = {path.parent.name for path in (BENCHMARKS.parent / "assets" / "models").glob("*/*.safetensors")}
    assert set(script["STARTERS"]) == shipped
    assert set(script["TRAININGS"]) >= METHODS.keys()


def test_outputs_are_kept_until_the_code_changes(script: Any, tmp_path: Path) -> None:
    (tmp_path / "itr_core").mkdir()
    (tmp_path / "itr_core" / "code.py").write_text("one = 1\n")
    (tmp_path / "README.md").write_text("words\n")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    first = script["identity"](tmp_path)
    (tmp_path / "README.md").write_text("other words\n")
    assert script["identity"](tmp_path) == first
    (tmp_path / "itr_core" / "code.py").write_text("one = 2\n")
    assert script["identity"](tmp_path) != first

    calls: list[Any] = []
    checkout = script["Checkout"](tmp_path, tmp_path / "kept")
    for _ in range(2):
        assert script["output"]("group/name", lambda each: calls.append(each) or {"a": 1.5}, checkout) == {
            "a": 1.5
        }
    assert calls == [checkout]
