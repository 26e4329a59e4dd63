"""Pages with generated tables: markers, `--check`, and the index."""

import datetime
from pathlib import Path

import pytest
import render as renderer
from index import INDEX, fill
from render import MarkerError, render
from results import Column, Estimate, Machine, Measurement, Result, Row, Table, save

TABLE = Table(
    columns={"a": Column(title="A")},
    rows=[Row(title="x", cells={"a": Measurement(value=1, difference=Estimate(value=2, low=1, high=3))})],
)
RESULT = Result(
    commands=["python x.py"],
    date=datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    machine=Machine(),
    versions={},
    code=None,
    tables={"t": TABLE, "u": TABLE},
)
RESULTS = {"one": RESULT, "two": RESULT}
LINE = "| x | 1.0 (+2.0 [+1.0, +3.0]) |"
END = "<!-- end generated -->"


def page(*names: str) -> str:
    return "".join(f"before {name}\n<!-- generated: {name} -->\nold\n{END}\n" for name in names) + "after\n"


def test_only_what_is_between_markers_changes() -> None:
    text = render(page("one.t"), RESULTS)
    assert text.splitlines()[:3] == ["before one.t", "<!-- generated: one.t -->", ""]
    assert text.endswith(f"{LINE}\n\n{END}\nafter\n")
    assert "old" not in text


def test_rendering_twice_changes_nothing() -> None:
    once = render(page("one", "two.t", "one.reproduce"), RESULTS)
    assert render(once, RESULTS) == once


def test_a_marker_shows_a_table_several_joined_a_whole_result_or_how_to_reproduce_it() -> None:
    assert render(page("one.t"), RESULTS).count(LINE) == 1
    assert render(page("one.t + two.u"), RESULTS).count(LINE) == 2
    whole = render(page("one"), RESULTS)
    assert whole.count("| --- |") == 2
    assert "python x.py" in whole
    reproduced = render(page("one.reproduce"), RESULTS)
    assert LINE not in reproduced
    assert "python x.py" in reproduced


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- generated: one.t -->\n", "not closed"),
        (f"<!-- generated: one.t -->\n<!-- generated: two.t -->\n{END}\n", "not closed before"),
        (f"{END}\n", "closes nothing"),
    ],
)
def test_markers_come_in_pairs(text: str, message: str) -> None:
    with pytest.raises(MarkerError, match=message):
        render(text, RESULTS)


@pytest.mark.parametrize(
    ("name", "message"),
    [("three.t", "no result 'three'"), ("one.v", "tables t, u, not 'v'"), ("one.t + three.t", "'three'")],
)
def test_a_marker_must_name_something_that_exists(name: str, message: str) -> None:
    with pytest.raises(LookupError, match=message):
        render(page(name), RESULTS)


def test_a_headline_shows_a_figure_or_its_difference() -> None:
    assert fill("got {one/t/x/a.difference}!", RESULTS) == "got +2.0 [+1.0, +3.0]!"
    assert fill("{one/t/x/a} of {two/u/x/a}", RESULTS).count("1.0 (") == 2


@pytest.mark.parametrize("path", ["three/t/x/a", "one/v/x/a", "one/t/y/a", "one/t/x/b", "one/t/x"])
def test_a_headline_must_name_a_figure_that_exists(path: str) -> None:
    with pytest.raises(LookupError, match=path):
        fill(f"{{{path}}}", RESULTS)


def test_a_headline_cannot_show_a_difference_that_there_is_not() -> None:
    table = Table(columns={"a": Column(title="A")}, rows=[Row(title="x", cells={"a": 1.0})])
    with pytest.raises(LookupError, match="no difference"):
        fill("{one/t/x/a.difference}", {"one": RESULT.model_copy(update={"tables": {"t": table}})})


def test_the_index_names_scripts_that_exist() -> None:
    for entry in INDEX:
        assert (renderer.ROOT / "benchmarks" / entry.command.split()[0]).is_file()


def test_check_fails_for_a_page_that_is_out_of_date_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save("one", RESULT, tmp_path / "results")
    file = tmp_path / "page.md"
    file.write_text(page("one.t"), encoding="utf-8")
    monkeypatch.setattr(renderer, "ROOT", tmp_path)
    monkeypatch.setattr(renderer, "PAGES", (file,))
    monkeypatch.setattr(renderer, "RESULTS", tmp_path / "results")
    with pytest.raises(SystemExit, match=r"Out of date: page\.md"):
        renderer.main(check=True)
    assert file.read_text(encoding="utf-8") == page("one.t")
    renderer.main(check=False)
    assert file.read_text(encoding="utf-8") == render(page("one.t"), RESULTS)
    assert "Updated page.md" in capsys.readouterr().out
    renderer.main(check=True)


def test_an_error_names_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "page.md"
    file.write_text(page("one.t"), encoding="utf-8")
    monkeypatch.setattr(renderer, "ROOT", tmp_path)
    monkeypatch.setattr(renderer, "PAGES", (file,))
    monkeypatch.setattr(renderer, "RESULTS", tmp_path)
    with pytest.raises(SystemExit, match=r"page\.md: .*no result 'one'"):
        renderer.main(check=True)
