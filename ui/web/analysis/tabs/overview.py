"""The tab Overview: alignment and uniformity, similarities of pairs, and all measures with intervals."""

import re
from collections.abc import Generator, Mapping
from itertools import chain
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd

from analysis.gallery_analysis import GalleryAnalysis
from analysis.geometry.catalogue import GEOMETRY, missing
from ui.web import html
from ui.web.analysis.jobs import awaited
from ui.web.analysis.plot import Value, plot, plot_value
from ui.web.analysis.shared import shared
from ui.web.analysis.tab import Tab
from ui.web.galleries import Galleries

PLANE = (
    "Lower left is better: pairs are close together, and the embeddings spread evenly over the sphere. "
    "Bars are 95 % intervals over pictures."
)
SIMILARITIES = "Less overlap: captions separate their picture from the others better."


def overview_tab(galleries: Galleries, selected: gr.Dropdown) -> Tab:
    """Add the tab's components; it compares the selected galleries."""
    with gr.Row():
        with gr.Column(min_width=340):
            plane_view = plot(elem_id="plane")
        with gr.Column(min_width=340):
            similarities_view = plot(elem_id="similarities")
    measures = gr.HTML(elem_id="measures")

    def show(names: list[str]) -> Generator[tuple[Any, ...]]:
        from analysis.figures import geometry as figures

        analyses, problems = galleries.analyses(names)
        paired = {name: each for name, each in analyses.items() if not each.unpaired}
        problems += [f"{name}: {each.unpaired}" for name, each in analyses.items() if each.unpaired]
        works = awaited(galleries, list(analyses), "geometry"), awaited(galleries, [*paired], "histograms")
        for name, work in chain(*works):
            progress = html.render("computing.html", what="Measuring the embeddings", name=name, work=work)
            yield gr.skip(), gr.skip(), progress
        tables = {name: each.geometry() for name, each in analyses.items()}

        def draw_plane() -> Value:
            figure = figures.plane({name: tables[name] for name in paired})
            return plot_value(figure, PLANE, "alignment-uniformity")

        def draw_similarities() -> Value:
            figure = figures.similarities({name: each.histograms() for name, each in paired.items()})
            return plot_value(figure, SIMILARITIES, "similarities")

        plane = similarities = None
        if paired:
            plane = shared("plane", paired, draw_plane)
            similarities = shared("similarities", paired, draw_similarities)
        table = html.render("measures.html", names=list(tables), rows=_rows(tables, analyses))
        yield plane, similarities, html.notes(problems) + table

    return Tab(show, {}, [plane_view, similarities_view, measures])


def _rows(
    tables: Mapping[str, pd.DataFrame], analyses: Mapping[str, GalleryAnalysis]
) -> list[dict[str, Any]]:
    rows = []
    for name, metric in GEOMETRY.items():
        arxiv = re.search(r"arXiv:([\d.]+\d)", metric.source)
        rows.append(
            {
                "title": metric.title,
                "sentence": metric.definition,
                "better": metric.better,
                "source": metric.source,
                "link": f"https://arxiv.org/abs/{arxiv[1]}" if arxiv else "",
                "values": [_cell(name, table.T[name], analyses[own]) for own, table in tables.items()],
            }
        )
    return rows


def _cell(name: str, row: "pd.Series[float]", analysis: GalleryAnalysis) -> dict[str, str]:
    """Return a value with its interval, or a dash with what the metric needs."""
    if need := missing(name, len(analysis.images), len(analysis.captions)):
        return {"value": "–", "interval": need}
    interval = "" if np.isnan(row.low) else f"{_short(row.low)} to {_short(row.high)}"
    return {"value": _short(row.value), "interval": interval}


def _short(value: float) -> str:
    return (f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}").replace("-", "−")
