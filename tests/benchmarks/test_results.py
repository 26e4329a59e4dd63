"""The schema of benchmark results, and their files."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from results import (
    Cell,
    Column,
    Estimate,
    Machine,
    Measurement,
    Range,
    Result,
    Row,
    Table,
    load,
    load_all,
    save,
)


def result(**changes: Any) -> Result:
    table = Table(columns={"time": Column(title="time")}, rows=[Row(title="a", cells={"time": 1.5})])
    fields: dict[str, Any] = {
        "commands": ["python benchmarks/x.py"],
        "date": datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC),
        "machine": Machine(cpu="c"),
        "versions": {"torch": "2"},
        "code": None,
        "tables": {"t": table},
    }
    return Result(**fields | changes)


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    cells: dict[str, Cell] = {
        "number": -0.0,
        "text": "a | b",
        "range": Range(minimum=1, maximum=2),
        "measurement": Measurement(
            value=1, low=0.5, high=2, spread=0.1, difference=Estimate(value=-1, low=-2, high=0)
        ),
        "unknown": None,
    }
    columns = {key: Column(title=key) for key in [*cells, "left_out"]}
    written = result(tables={"t": Table(columns=columns, rows=[Row(title="a", cells=cells)])})
    save("x", written, tmp_path)
    read = load("x", tmp_path)
    assert read == written
    assert str(read.tables["t"].rows[0].cells["number"]) == "-0.0"
    assert load_all(tmp_path) == {"x": written}


def test_a_result_replaces_the_one_of_the_same_name(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    save("x", result(code="1"), folder)
    assert save("x", result(code="2"), folder) == folder / "x.json"
    assert load("x", folder).code == "2"


def test_a_missing_date_is_null_in_the_file(tmp_path: Path) -> None:
    save("x", result(date=None), tmp_path)
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["date"] is None


def test_numbers_keep_six_significant_digits() -> None:
    assert Estimate(value=123.45678912).value == 123.457
    assert Range(minimum=1e-7 / 3, maximum=1).minimum == 3.33333e-08


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Estimate(value=1, low=0), "both or neither"),
        (lambda: Estimate(value=1, low=2, high=1), "above high"),
        (lambda: Measurement(value=1, spread=-1), "greater than or equal to 0"),
        (lambda: Measurement(value=float("nan")), "finite"),
        (lambda: Range(minimum=2, maximum=1), "above maximum"),
        (lambda: Column(title="x", format="nonsense"), "format"),
        (lambda: Table(columns={}, rows=[Row(title="a", cells={"time": 1.0})]), "without a column: time"),
        (lambda: Table(columns={}, rows=[Row(title="a", cells={})] * 2), "same title: a"),
        (lambda: Table(columns={}, rows=[]), "at least 1"),
        (lambda: result(tables={}), "at least 1"),
        (lambda: result(mood="good"), "not permitted"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        wrong()


def test_a_row_is_found_by_its_title() -> None:
    table = result().tables["t"]
    assert table.row("a") is table.rows[0]
    with pytest.raises(KeyError):
        table.row("b")
