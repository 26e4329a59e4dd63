"""The tab Geometry: alignment and uniformity, similarities of pairs, and all measures with intervals."""

import re
from collections.abc import Generator
from typing import Any

import gradio as gr

from analysis.geometry.catalogue import GEOMETRY
from ui.web import html
from ui.web.analysis.jobs import awaited
from ui.web.analysis.plot import plot, plot_value
from ui.web.analysis.tab import Tab
from ui.web.galleries import Galleries

PLANE = (
    "Lower left is better: pairs are close together, and the embeddings spread evenly over the sphere. "
    "Bars are 95 % intervals over images."
)
SIMILARITIES = "Less overlap: captions separate their image from the others better."


def geometry_tab(galleries: Galleries, selected: gr.Dropdown) -> Tab:
    """Add the tab's components; it compares the selected galleries."""
    with gr.Row():
        with gr.Column(min_width=340):
            plane = plot(elem_id="plane")
        with gr.Column(min_width=340):
            similarities = plot(elem_id="similarities")
    measures = gr.HTML(elem_id="measures")

    def show(names: list[str]) -> Generator[tuple[Any, ...]]:
        from analysis.figures import geometry as figures

        analyses = {name: galleries.analysis(name) for name in names}
        for name, work in awaited(galleries, names, "geometry", "histograms"):
            progress = html.render("computing.html", what="Measuring the embeddings", name=name, work=work)
            yield gr.skip(), gr.skip(), progress
        tables = {name: each.geometry() for name, each in analyses.items()}
        histograms = {name: each.histograms() for name, each in analyses.items()}
        yield (
            plot_value(figures.plane(tables), PLANE, "alignment-uniformity"),
            plot_value(figures.similarities(histograms), SIMILARITIES, "similarities"),
            html.render("measures.html", names=names, rows=_rows(tables)),
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
