"""The tab on query length: do short queries fail, and why."""

from collections.abc import Generator
from typing import Any

import gradio as gr

from itr_core.errors import PairscopeError
from ui.web import html
from ui.web.analysis.jobs import Stop, working
from ui.web.analysis.panels import map_points
from ui.web.analysis.plot import drawn, plot
from ui.web.analysis.tab import Desk, Tab

WAYS = {"captions as they are": "natural", "their first words": "truncated"}
SAYS = {
    "natural": "How many captions of that length find their own image. Of how many images they are true "
    "tells why short ones do not: among 20 that are equally right, the one that counts comes first 1 time in "
    "20. Click a point for its queries.",
    "truncated": "The first words of every caption as a query, so that only the words differ (AsCL, Fig. 5), "
    "and how many images have a caption that begins so.",
}


def length_tab(desk: Desk, chosen: gr.Dropdown) -> Tab:
    """Lay the tab out; its event handler compares the chosen galleries."""
    with gr.Row():
        direction = gr.Radio(
            [*WAYS.items()], value="natural", label="Queries", container=False, elem_id="length-way"
        )
        cutoff = gr.Radio(
            [(f"R@{k}", k) for k in (1, 5, 10)], value=1, label="Recall", container=False, elem_id="length-k"
        )
        stop = gr.Button("Stop", visible=False, elem_id="length-stop", min_width=80, scale=0)
    curve = plot(elem_id="length")
    queries = gr.HTML(elem_id="length-queries")

    def show(names: list[str], direction: str, k: int) -> Generator[tuple[Any, ...]]:
        from analysis.figures import query_length as figures

        if direction == "natural":
            figure = figures.by_length({name: desk.of(name).by_length() for name in names}, k)
        else:
            tables = {}
            for name in names:
                with working(desk.of(name).truncated, desk.galleries.searcher(name)) as work:
                    while work.running():
                        how_far = html.render("measuring.html", what="Cutting captions", name=name, work=work)
                        yield gr.Button(visible=True), gr.skip(), how_far
                    tables[name] = work.result()
            figure = figures.truncated(tables, k)
        yield gr.Button(visible=False), drawn(figure, SAYS[direction], f"query-length-{direction}-r{k}"), ""

    def of_bucket(names: list[str], direction: str, event: gr.EventData) -> Any:
        if direction != "natural" or not names:
            return gr.skip()
        try:
            return map_points.worst_of_bucket(desk.of(names[0]), str((getattr(event, "x", None) or [""])[0]))
        except PairscopeError as error:
            return html.status(notes=[str(error)])

    curve.select(of_bucket, [chosen, direction], queries, api_visibility="private", show_progress="minimal")
    ended = gr.update(visible=False), gr.skip(), ""
    return Tab(show, [direction, cutoff], [stop, curve, queries], Stop(stop, ended))
