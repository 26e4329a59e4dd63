"""Results as Markdown."""

import datetime
from typing import Any

import pytest
from result_tables import cell_text, markdown_table, reproduction
from results import Cell, Column, Estimate, Machine, Measurement, Range, Result, Row, Table


@pytest.mark.parametrize(
    ("cell", "spec", "text"),
    [
        (1234.56, ",.0f", "1,235"),
        (-0.04, ".1f", "-0.0"),
        (1.2e-7, ".1e", "1.2e-07"),
        (None, ".1f", "not recorded"),
        ("a | b", ".1f", "a \\| b"),
        (Range(minimum=1, maximum=2.25), ".1f", "1.0 to 2.2"),
        (Range(minimum=1, maximum=1.01), ".1f", "1.0"),
        (Measurement(value=1), ".2f", "1.00"),
        (Measurement(value=1, spread=0.26), ".1f", "1.0 ± 0.3"),
        (Measurement(value=-1, low=-2, high=0), ".1f", "-1.0 [-2.0, 0.0]"),
        (
            Measurement(value=5, spread=1, difference=Estimate(value=2, low=-1, high=3)),
            ".1f",
            "5.0 ± 1.0 (+2.0 [-1.0, +3.0])",
        ),
        (Measurement(value=5, difference=Estimate(value=-2)), ".1f", "5.0 (-2.0)"),
        (
            Measurement(value=5, low=4, high=6, spread=1, difference=Estimate(value=2)),
            ".0f",
            "5 ± 1 [4, 6] (+2)",
        ),
    ],
)
def test_a_cell_shows_what_is_known_of_it(cell: Cell, spec: str, text: str) -> None:
    assert cell_text(cell, spec) == text


def table(*rows: Row, title: str = "", **columns: Column) -> Table:
    return Table(title=title, columns=columns, rows=[*rows])


def test_a_table_keeps_the_order_of_columns_and_leaves_cells_that_do_not_apply_empty() -> None:
    shown = table(
        Row(title="a", cells={"b": 1.0, "a": 2.0}),
        Row(title="c", cells={"b": None}),
        title="what",
        a=Column(title="A", unit="ms", format=".0f"),
        b=Column(title="B"),
    )
    assert markdown_table(shown).splitlines() == [
        "| what | A (ms) | B |",
        "| --- | --- | --- |",
        "| a | 2 | 1.0 |",
        "| c |  | not recorded |",
    ]


def test_tables_with_the_same_columns_are_joined_and_others_refused() -> None:
    one, two = (table(Row(title=name, cells={"a": 1.0}), a=Column(title="A")) for name in ("x", "y"))
    assert markdown_table(one, two).splitlines()[2:] == ["| x | 1.0 |", "| y | 1.0 |"]
    with pytest.raises(ValueError, match="cannot be joined"):
        markdown_table(one, table(Row(title="z", cells={}), b=Column(title="B")))


def result(**changes: Any) -> Result:
    fields: dict[str, Any] = {
        "commands": ["python a.py > b"],
        "date": None,
        "machine": Machine(),
        "versions": {},
        "code": None,
        "tables": {"t": table(Row(title="x", cells={}))},
    }
    return Result(**fields | changes)


def test_what_is_not_known_of_a_run_is_said_to_be_not_recorded() -> None:
    text = reproduction(result(published="2026-01-02"))
    assert "<pre><code>python a.py &gt; b</code></pre>" in text
    assert "<li>Date: not recorded; published 2026-01-02</li>" in text
    assert text.count("not recorded") == 7  # date, CPU, cores, memory, accelerator, versions, code
    assert "Commands of each row" not in text


def test_what_is_known_of_a_run_is_shown_with_the_commands_of_each_row() -> None:
    text = reproduction(
        result(
            date=datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC),
            machine=Machine(cpu="C <1>", cores=2, memory_gib=4, accelerator="none"),
            versions={"python": "3.11", "torch": "2.10"},
            code="0.1+abc",
            notes=["Two runs."],
            row_commands={"a & b": ["train", "table"]},
        )
    )
    assert text.startswith("- Two runs.\n\n<details>")
    for part in ("2026-01-02 03:04 UTC", "C &lt;1&gt;", "4.0 GiB", "python 3.11, torch 2.10", "0.1+abc"):
        assert part in text
    assert "<details><summary>a &amp; b</summary>\n<pre><code>train\ntable</code></pre>" in text
    assert "not recorded" not in text


def test_a_result_without_a_command_says_so() -> None:
    assert "<pre><code>not recorded</code></pre>" in reproduction(result(commands=[]))
