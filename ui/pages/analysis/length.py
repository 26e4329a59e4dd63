"""The tab on query length: do short queries fail, and why."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np

from itr_core.errors import QueryError
from ui.pages import cards
from ui.pages.analysis.desk import Desk, Wiring
from ui.pages.analysis.plot import drawn, plot

WAYS = {"captions as they are": "natural", "their first words": "truncated"}
MOST_SHOWN = 24
SAYS = {
    "natural": "Above, how many captions of that length find their own image; below, how many queries there are and of "
    "how many images they are true on average: among 20 that are equally right, the one that counts comes first 1 time "
    "in 20. Click a point for its queries.",
    "truncated": "The first words of every caption as a query, so that only the words differ (AsCL, Fig. 5). Below, how "
    "many images have a caption that begins so. Click a point for its queries.",
}


def length_tab(desk: Desk, chosen: gr.Dropdown) -> Wiring:
    """Lay the tab out; its event handler compares the chosen galleries."""
    with gr.Row():
        way = gr.Radio([*WAYS.items()], value="natural", label="Queries", container=False, elem_id="length-way")
        cutoff = gr.Radio(
            [(f"R@{k}", k) for k in (1, 5, 10)], value=1, label="Recall", container=False, elem_id="length-k"
        )
    curve = plot(elem_id="length")
    queries = gr.HTML(elem_id="length-queries")

    def show(names: list[str], way: str, k: int) -> Iterator[tuple[Any, ...]]:
        from analysis.figures import query_length as figures

        if way == "natural":
            figure = figures.by_length({name: desk.of(name).by_length() for name in names}, k)
        else:
            encoders = {name: desk.shelf.searcher(name).encoder for name in names}
            tables = {name: desk.of(name).truncated(encoders[name]) for name in names}
            figure = figures.truncated(tables, k)
        yield drawn(figure, SAYS[way], f"query-length-{way}-r{k}"), ""

    return Wiring(show, [way, cutoff], [curve, queries])
