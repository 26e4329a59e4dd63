"""The plot of growth shows every figure, and is drawn again when the figures change."""

import datetime
from pathlib import Path
from xml.etree import ElementTree

import growth_plot
import pytest
from growth_plot import PANELS
from results import Column, Machine, Result, Row, Table


def result(factor: float) -> Result:
    tables: dict[str, Table] = {}
    for name, unit in (("build", "photos"), ("gallery", "pictures")):
        columns = {column for table, column in PANELS.values() if table == name}
        rows = [
            Row(title=f"{n:,} {unit}", cells=dict.fromkeys(columns, factor * n / 7))
            for n in (1_000, 1_000_000)
        ]
        tables[name] = Table(columns={column: Column(title=column) for column in columns}, rows=rows)
    date = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    return Result(commands=["x"], date=date, machine=Machine(), versions={}, code=None, tables=tables)


def test_every_panel_shows_its_figures() -> None:
    root = ElementTree.fromstring(growth_plot.growth_plot(result(1)))
    texts = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    for title in PANELS:
        assert title in texts
    for label in ("1k", "1M", "143", "142,857"):
        assert texts.count(label) == len(PANELS)


def test_a_drawing_is_of_one_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth_plot, "FILE", tmp_path / "growth.svg")
    assert not growth_plot.is_current(result(1))
    growth_plot.FILE.write_text(growth_plot.growth_plot(result(1)), encoding="utf-8")
    assert growth_plot.is_current(result(1))
    assert not growth_plot.is_current(result(2))
