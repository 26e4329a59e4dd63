"""The tab Recall: the standard protocol for the selected galleries, side by side."""

from collections.abc import Generator
from typing import Any

import gradio as gr

from ui.web import html
from ui.web.analysis.tab import Tab
from ui.web.galleries import Galleries


def recall_tab(galleries: Galleries, selected: gr.Dropdown) -> Tab:
    """Add the tab's components; it compares the selected galleries."""
    table = gr.HTML(elem_id="recall")

    def show(names: list[str]) -> Generator[tuple[Any, ...]]:
        metrics = [galleries.analysis(name).metrics() for name in names]
        rows = [(metric, [each.loc[metric] for each in metrics]) for metric in metrics[0].index]
        yield (html.render("recall.html", names=names, rows=rows),)

    return Tab(show, inputs={}, outputs=[table])
