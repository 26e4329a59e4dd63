"""The commands of the comparison of methods, from candidates to published tables, without real trainings."""

import re
from pathlib import Path
from typing import Any

import method_runs
import numpy as np
import pytest
from claims import claims_table
from method_metrics import Queries
from method_rows import CANDIDATES, ROWS
from method_tables import commands
from methods import app
from results import Measurement, load
from typer.testing import CliRunner

from itr_core.encoders.checksums import STATE

N_IMAGES = 40


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders of the trainings that took place; coder gains 5 points of rSum, its third candidate 9."""
    folders: list[Path] = []

    def train(method: str, *, out: Path, **settings: Any) -> Path:
        out.mkdir(parents=True)
        (out / STATE).touch()
        (out / "gain").write_text(
            str(0 if method != "coder" else 5 if settings["options"].get("concept_branch", True) else 9)
        )
        folders.append(out)
        return out

    def measure(folder: Path, *_: Any) -> Queries:
        random = np.random.default_rng(len(folders))
        gain = float((folder / "gain").read_text())
        return {
            "rsum": 300 + gain + random.normal(size=N_IMAGES),
            "image_of_caption": np.repeat(np.arange(N_IMAGES), 5),
        }

    monkeypatch.setattr(method_runs, "train", train)
    monkeypatch.setattr(method_runs, "load_pairs", str)
    monkeypatch.setattr(method_runs, "measure", measure)
    return folders


def test_candidates_are_chosen_then_rows_trained_then_tables_written(
    trained: list[Path], tmp_path: Path
) -> None:
    def run(command: str, *options: str) -> str:
        where = ["picturebook", "--out", str(tmp_path / "runs")]
        ran = CliRunner().invoke(app, [command, *where, *options])
        assert ran.exit_code == 0, ran.output
        return ran.output

    results = ("--results", str(tmp_path))
    run("select", "--seed", "1")
    assert len(trained) == sum(map(len, CANDIDATES.values()))
    run("select", *results)
    assert len(trained) == 2 * sum(map(len, CANDIDATES.values()))
    selection = load("methods_picturebook_selection", tmp_path).tables["validation"]
    chosen = [row.title for row in selection.rows if row.cells["chosen"]]
    assert len(chosen) == len(CANDIDATES)
    assert CANDIDATES["coder"][2].title in chosen

    run("run", "--row", "coder", "--row", "infonce", "--seed", "0", "--seed", "1")
    assert len(trained) == 2 * sum(map(len, CANDIDATES.values()))  # the chosen candidates are these rows
    run("table", *results)  # of what there is
    cell = load("methods_picturebook", tmp_path).tables["main_recall"].row("coder").cells["rsum"]
    assert isinstance(cell, Measurement)
    assert cell.difference is not None
    assert cell.difference.trainings == 2

    run("run", "--seeds", "3")
    run("table", *results)
    result = load("methods_picturebook", tmp_path)
    assert result.row_commands.keys() == ROWS.keys()
    choices = {
        method: next(each for each in candidates if each.title in chosen)
        for method, candidates in CANDIDATES.items()
    }
    assert result.row_commands["coder"] == commands("picturebook", "coder", choices)
    cell = result.tables["main_recall"].row("coder").cells["rsum"]
    assert isinstance(cell, Measurement)
    assert cell.difference is not None
    assert cell.difference.value == pytest.approx(9, abs=1)
    assert cell.difference.trainings == 3
    assert "comparisons" in result.tables
    assert "| coder | 3 |" in run("table", "--row", "coder", "--against", "crcgs")
    judged = claims_table({"methods_features": result})
    assert re.search(r"coder: rSum \+[\d.]+ \[\+[\d.]+, \+[\d.]+\] \(`methods_features`\) \| held \|", judged)
