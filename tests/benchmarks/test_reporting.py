"""How a benchmark ends, and what it records of its run."""

import datetime
from pathlib import Path

import pytest
from provenance import build_command, command_line, machine, versions
from reporting import report
from results import Column, Row, Table, load

from itr_core import Gallery, load_encoder, load_pairs

TABLES = {"t": Table(columns={"a": Column(title="A")}, rows=[Row(title="x", cells={"a": 1.0})])}


def test_without_a_folder_figures_are_printed_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    report("x", TABLES, None, ["One run."])
    printed = capsys.readouterr().out
    assert "| x | 1.0 |" in printed
    assert "One run." in printed
    assert list(tmp_path.iterdir()) == []


def test_a_result_records_command_date_machine_and_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["/somewhere/benchmarks/x.py", "--results", str(tmp_path), "a b"])
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    written = report("x", TABLES, tmp_path, first=["pairscope build"], row_commands={"x": ["train"]})
    result = load("x", tmp_path)
    assert result == written
    assert result.commands == ["pairscope build", "python benchmarks/x.py 'a b'"]
    assert result.date is not None
    assert before <= result.date <= datetime.datetime.now(datetime.UTC)
    assert result.machine == machine()
    assert result.versions == versions()
    assert result.row_commands == {"x": ["train"]}
    assert result.code is not None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["/a/b.py"], "python benchmarks/b.py"),
        (["b.py", "--rounds", "3", "--results", "dir"], "python benchmarks/b.py --rounds 3"),
        (["b.py", "--results=dir", "run", "--row", "a, b"], "python benchmarks/b.py run --row 'a, b'"),
    ],
)
def test_the_command_line_is_as_typed_but_for_where_results_go(arguments: list[str], expected: str) -> None:
    assert command_line(arguments) == expected


def test_a_gallery_knows_the_command_that_builds_it(
    configs: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs, encoder = load_pairs(f"folder:{world}", limit=3), load_encoder("tiny/none", device="cpu")
    Gallery.build(pairs, encoder, "a gallery")
    assert build_command(Path("a gallery")) == (
        f"pairscope build folder:{world} --model tiny/none --out 'a gallery'"
    )


def test_machine_and_versions_are_known_here() -> None:
    here = machine()
    assert here.cores is not None
    assert here.cores >= 1
    assert here.accelerator
    assert {"python", "torch", "numpy", "pairscope", "open_clip_torch"} <= versions().keys()
