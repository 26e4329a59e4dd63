"""The tab Query length: recall of short and long queries, and why short queries are harder."""

from collections.abc import Generator
from typing import Any

import gradio as gr

from ui.web import html
from ui.web.analysis.address import clear
from ui.web.analysis.jobs import Stop, awaited
from ui.web.analysis.panels import map_points
from ui.web.analysis.plot import Value, plot, plot_value
from ui.web.analysis.shared import shared
from ui.web.analysis.tab import Tab
from ui.web.errors import show_errors
from ui.web.galleries import Galleries, first
from ui.web.html import event_value

QUERIES = {"whole captions": "natural", "first words of captions": "truncated"}
RESULTS = {
    "natural": ("by_length", "Ranking the queries"),
    "truncated": ("truncated", "Truncating and encoding the captions"),
}
"""Kind of queries -> the result that it needs, and what its computation does."""
CAPTIONS = {
    "natural": "Recall of captions by their number of words. The number of pictures that a caption is true "
    "of explains why short ones fail: if 20 pictures match, the annotated one comes first 1 time in 20 by "
    "chance. Click a point to see its queries.",
    "truncated": "Recall of the first words of every caption, so that only the length differs "
    "(AsCL, Fig. 5), and the number of pictures with a caption that begins with these words.",
}


def query_length_tab(galleries: Galleries, selected: gr.Dropdown) -> Tab:
    """Add the tab's components and event handlers; it compares the selected galleries."""
    with gr.Row():
        kind = gr.Radio(
            [*QUERIES.items()],
            value="natural",
            label="Queries",
            container=False,
            elem_id="length-queries-kind",
        )
        cutoff = gr.Radio(
            [(f"R@{k}", k) for k in (1, 5, 10)], value=1, label="Recall", container=False, elem_id="length-k"
        )
    curve = plot(elem_id="length")
    progress = gr.HTML(elem_id="length-progress", elem_classes="optional")
    stop = gr.Button("Stop", visible=False, elem_id="length-stop", elem_classes="stop")
    queries = gr.HTML(elem_id="length-queries")
    opened = gr.Textbox("", visible=False)

    def show(names: list[str], kind: str, k: int, opened: str) -> Generator[tuple[Any, ...]]:
        from analysis.figures import query_length as figures

        analyses, problems = galleries.paired(names)
        result, what = RESULTS[kind]
        for name, work in awaited(galleries, list(analyses), result):
            so_far = html.render("computing.html", what=what, name=name, work=work)
            yield gr.Button(visible=True), so_far, gr.skip(), gr.skip()

        def draw() -> Value:
            if kind == "natural":
                figure = figures.by_length({name: one.by_length() for name, one in analyses.items()}, k)
            else:
                tables = {name: one.truncated(galleries.searcher(name)) for name, one in analyses.items()}
                figure = figures.truncated(tables, k)
            return plot_value(figure, CAPTIONS[kind], f"query-length-{kind}-r{k}")

        value = shared("length", analyses, draw, kind, k)
        yield gr.Button(visible=False), html.notes(problems), value, queries_of(names, kind, opened)

    @show_errors(html.note)
    def queries_of(names: list[str], kind: str, opened: str) -> str:
        bucket, _, gallery = opened.partition(" ")
        if kind != "natural" or not bucket:
            return ""
        return map_points.worst_of_bucket(
            galleries.analysis(gallery if gallery in names else first(names)), bucket
        )

    def by_point(names: list[str], kind: str, event: gr.EventData) -> tuple[str, str]:
        x, keys = event_value(event, "x"), event_value(event, "keys")
        bucket = str(x[0]) if isinstance(x, list) and x and kind == "natural" else ""
        point = keys[0] if isinstance(keys, list) and keys else None
        opened = f"{bucket} {point[0]}" if isinstance(point, list) and point else bucket
        return opened, queries_of(names, kind, opened)

    click = curve.select(
        by_point, [selected, kind], [opened, queries], api_visibility="private", show_progress="minimal"
    )
    clear(kind.input, [opened])
    ended = gr.update(visible=False), "", gr.skip(), gr.skip()
    inputs = {"queries": kind, "k": cutoff, "open": opened}
    return Tab(show, inputs, [stop, progress, curve, queries], Stop(stop, ended), [opened], [click])
