"""The tab on how embeddings lie: alignment and uniformity, similarities, and every measure in words."""

import re
from collections.abc import Generator
from typing import Any

import gradio as gr

from analysis.geometry.catalogue import GEOMETRY
from ui.web import html
from ui.web.analysis.plot import drawn, plot
from ui.web.analysis.tab import Desk, Tab


def space_tab(desk: Desk, chosen: gr.Dropdown) -> Tab:
    """Lay the tab out; its event handler compares the chosen galleries."""
    with gr.Row():
        with gr.Column(min_width=340):
            plane = plot(elem_id="plane")
        with gr.Column(min_width=340):
            similarities = plot(elem_id="similarities")
    measures = gr.HTML(elem_id="measures")

    def show(names: list[str]) -> Generator[tuple[Any, ...]]:
        from analysis.figures import geometry as figures

        analyses = {name: desk.of(name) for name in names}
        tables = {name: each.geometry() for name, each in analyses.items()}
        yield (
            drawn(
                figures.plane(tables),
                "Lower left is better: pairs lie near each other, and all things together use the whole "
                "sphere. Bars are 95 % intervals over images.",
                "alignment-uniformity",
            ),
            drawn(
                figures.similarities({name: each.histograms() for name, each in analyses.items()}),
                "The less the two hills overlap, the better can a caption tell its own image from others.",
                "similarities",
            ),
            html.render("measures.html", heading="In numbers", names=names, rows=_rows(tables)),
        )

    return Tab(show, [], [plane, similarities, measures])


def _rows(tables: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name, metric in GEOMETRY.items():
        values = [table.loc[name] for table in tables.values()]
        arxiv = re.search(r"arXiv:([\d.]+\d)", metric.source)
        rows.append(
            {
                "title": metric.title,
                "sentence": metric.definition,
                "better": metric.better,
                "source": metric.source,
                "link": f"https://arxiv.org/abs/{arxiv[1]}" if arxiv else "",
                "values": [
                    {"value": _short(each.value), "interval": f"{_short(each.low)} to {_short(each.high)}"}
                    for each in values
                ],
            }
        )
    return rows


def _short(value: float) -> str:
    return (f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}").replace("-", "−")
