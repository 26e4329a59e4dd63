"""The table of `make bench`: its goals, and that the command measures all of them."""

import datetime
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import bench
import provenance
import pytest
import typer
from bench import SUITE, Part, main
from goals import GOALS, SECTIONS, Goal, goal_table
from render import ROOT
from results import Cell, Column, Machine, Range, Result, Row, Table
from typer.testing import CliRunner


def results_with(cell: Cell, goal: Goal) -> dict[str, Result]:
    """The result of one goal."""
    name, table, row, column = goal.path.split("/")
    cells = Table(
        columns={column: Column(title="x", format=".2f")}, rows=[Row(title=row, cells={column: cell})]
    )
    result = Result(
        commands=[],
        date=datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        machine=Machine(),
        versions={},
        code=None,
        tables={table: cells},
    )
    return {name: result}


def line_of(goal: Goal, table: str) -> str:
    return next(line for line in table.splitlines() if line.startswith(f"| [{goal.what}]("))


@pytest.mark.parametrize(
    ("sense", "cell", "met"),
    [
        ("at least", 2.0, True),
        ("at least", 1.9, False),
        ("at most", 2.0, True),
        ("at most", 2.1, False),
        ("at least", Range(minimum=1.9, maximum=3), False),
        ("at most", Range(minimum=1, maximum=2.1), False),
        ("at most", Range(minimum=1, maximum=2), True),
        ("at most", "about 2", None),
        ("at most", None, None),
    ],
)
def test_a_goal_is_met_if_every_value_reaches_it(sense: str, cell: Cell, met: bool | None) -> None:
    goal = Goal("x", "y", "a/b/c/d", "at least" if sense == "at least" else "at most", 2)
    assert goal.met(cell) is met


def test_the_table_shows_figures_of_the_results_and_why_a_goal_is_missed() -> None:
    goal = GOALS[0]
    missed = line_of(goal, goal_table(results_with(1.25, goal)))
    assert "| 1.25 |" in missed
    assert f"no: {goal.why}" in missed
    met = line_of(goal, goal_table(results_with(9.5, goal)))
    assert "| 9.50 | yes |" in met
    assert goal.why not in met


def test_a_goal_that_was_not_measured_says_so() -> None:
    table = goal_table({})
    assert table.count("not measured") == len(GOALS) == len(table.splitlines()) - 2


def test_the_suite_measures_every_goal_and_nothing_else() -> None:
    scripts = [part.script for part in SUITE]
    assert len(set(scripts)) == len(scripts)
    assert {*scripts} == {goal.path.split("/")[0] for goal in GOALS}


def test_every_goal_links_to_a_section_that_exists() -> None:
    text = (ROOT / "docs" / "explanation" / "results.md").read_text(encoding="utf-8")
    titles = [line.removeprefix("## ").lower().replace(" ", "-") for line in text.splitlines()]
    assert {*SECTIONS.values()} <= {*titles}


def test_a_benchmark_that_is_not_in_the_suite_is_refused() -> None:
    app = typer.Typer()
    app.command()(main)
    ran = CliRunner().invoke(app, ["--only", "speed"])
    assert ran.exit_code == 2
    assert "not one of text_encoding" in " ".join(ran.output.replace("│", " ").split())


def test_a_benchmark_that_fails_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "bad.py").write_text("raise SystemExit(3)", encoding="utf-8")
    (tmp_path / "benchmarks" / "good.py").write_text("open('ran', 'w').close()", encoding="utf-8")
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "SUITE", (Part("bad"), Part("good"), Part("full_run_only", quick=None)))
    with pytest.raises(typer.Exit):
        main(quick=True)
    assert (tmp_path / "ran").is_file()
    assert "Failed: bad" in capsys.readouterr().err


def test_other_work_leaves_out_idle_time_and_the_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    times = namedtuple("times", ["user", "system", "idle", "iowait", "guest"])
    used = iter([times(10, 1, 5, 1, 2), times(17, 2, 9, 9, 4)])
    own = iter([(1, 0, 0, 0, 0), (2, 0, 0.5, 0.5, 3)])
    clock = iter([100.0, 102.0])
    monkeypatch.setattr("provenance.psutil", SimpleNamespace(cpu_times=used.__next__))
    monkeypatch.setattr("provenance.os", SimpleNamespace(times=own.__next__))
    monkeypatch.setattr("provenance.time", SimpleNamespace(monotonic=clock.__next__))
    # Busy: 11, then 19 seconds. 2 of these 8 are of this process and its children. Guests are part of `user`.
    assert provenance.OtherWork().cores() == 3
