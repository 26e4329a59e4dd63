"""benchmarks/same_results.py and what it uses: results of two checkouts are compared to the last digit."""

import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
import same_results
from checkouts import Checkout, identity
from differences import Json, differences, renamed, without

from itr_core.methods import METHODS

ROWS: list[dict[str, Json]] = [{"direction": "t2i", "value": 50.62}, {"direction": "i2t", "value": 95.4}]
MODELS = Path(__file__).parents[2] / "assets" / "models"
KEYS = {"way": "direction", "hidden_misses": "false_negatives", "shown": "depicted"}
TEXTS = {"cause": {"hidden positive": "false negative"}}


def found(before: Any, after: Any) -> list[str]:
    return list(differences(before, after))


def test_equal_results_have_no_difference() -> None:
    before = {"rows": ROWS, "skipped": None, "nan": math.nan}
    assert found(before, dict(reversed(before.items()))) == []


def test_a_changed_last_digit_is_found_with_its_path() -> None:
    changed = [ROWS[0], ROWS[1] | {"value": math.nextafter(95.4, 100)}]
    assert found({"rows": ROWS}, {"rows": changed}) == ["rows[1].value: 95.4 before, 95.40000000000002 after"]


@pytest.mark.parametrize(
    ("before", "after"),
    [(1, 1.0), (1, True), (0.0, -0.0), ("1.0", "1.00"), (None, math.nan), ([], {}), ("", None)],
)
def test_what_only_looks_equal_differs(before: Json, after: Json) -> None:
    assert len(found({"value": before}, {"value": after})) == 1


def test_a_missing_and_a_new_row_are_named() -> None:
    assert found({"rows": ROWS}, {"rows": ROWS[1:]}) == [
        "rows: 2 items before, 1 after",
        "rows: missing after: {'direction': 't2i', 'value': 50.62}",
    ]
    assert found({"rows": ROWS[1:]}, {"rows": ROWS})[1:] == [
        "rows: new after: {'direction': 't2i', 'value': 50.62}"
    ]
    assert len(found(ROWS, ROWS[::-1])) == 4  # the order of rows counts


def test_a_missing_and_a_new_key_are_named() -> None:
    assert found({"a": {"b": 1}}, {"a": {"c": 1}}) == [
        "a.b: missing after, was 1",
        "a.c: new after, is 1",
    ]


def test_keys_ends_of_keys_and_declared_values_get_their_new_names() -> None:
    before: Json = {
        "rows": [{"way": "t2i", "cause": "hidden positive", "shown": "shown", "query": "hidden positive"}],
        "exact_t2i_hidden_misses": 60.1,
        "always": "way",
    }
    assert renamed(before, KEYS, TEXTS) == {
        "rows": [
            {"direction": "t2i", "cause": "false negative", "depicted": "shown", "query": "hidden positive"}
        ],
        "exact_t2i_false_negatives": 60.1,
        "always": "way",
    }


def test_a_name_that_was_not_replaced_is_a_difference() -> None:
    before = renamed({"way": "t2i"}, KEYS, TEXTS)
    assert found(before, {"direction": "t2i"}) == []
    assert len(found(before, {"way": "t2i"})) == 2


def test_only_declared_keys_are_ignored_at_any_depth() -> None:
    value: Json = {"rows": [{"seconds": 1.5, "value": 2, "inner": {"seconds": 3}}], "seconds": 4}
    assert without(value, {"seconds"}) == {"rows": [{"value": 2, "inner": {}}]}


def test_differences_are_printed_and_counted_under_the_names_of_after(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(same_results, "RENAMED_KEYS", KEYS)
    before: Json = {"way": "t2i", "value": 1.0, "code_version": "0.1+aa"}
    same: Json = {"direction": "t2i", "value": 1.0, "code_version": "0.2+bb"}
    other: Json = {"direction": "t2i", "value": 1.5, "code_version": "0.2+bb"}
    assert same_results.compared("evaluation/x", lambda: before, lambda: same) == 0
    assert same_results.compared("evaluation/x", lambda: before, lambda: other) == 1
    assert capsys.readouterr().out.splitlines() == [
        "same: evaluation/x",
        "1 differences: evaluation/x",
        "    value: 1.0 before, 1.5 after",
    ]


def test_a_case_that_fails_is_a_difference(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> Json:
        raise RuntimeError("exit code 2")

    assert same_results.compared("codes", lambda: None, fail) == 1
    assert "failed: exit code 2" in capsys.readouterr().out


def test_every_starter_and_method_is_covered() -> None:
    shipped = {path.parent.name for path in MODELS.glob("*/*.safetensors")}
    assert set(same_results.STARTERS) == shipped
    assert set(same_results.TRAININGS) >= METHODS.keys()


def test_outputs_are_kept_until_the_code_changes(tmp_path: Path) -> None:
    (tmp_path / "itr_core").mkdir()
    (tmp_path / "itr_core" / "code.py").write_text("one = 1\n")
    (tmp_path / "README.md").write_text("words\n")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    first = identity(tmp_path)
    (tmp_path / "README.md").write_text("other words\n")
    assert identity(tmp_path) == first
    (tmp_path / "itr_core" / "code.py").write_text("one = 2\n")
    assert identity(tmp_path) != first

    calls: list[Checkout] = []

    def case(checkout: Checkout) -> Json:
        calls.append(checkout)
        return {"a": 1.5}

    checkout = Checkout(tmp_path, tmp_path / "kept")
    for _ in range(2):
        assert same_results.output("group/name", case, checkout) == {"a": 1.5}
    assert calls == [checkout]
