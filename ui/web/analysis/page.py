"""The analysis page: measurements of one gallery, or of several side by side."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from ui.web import html
from ui.web.analysis.tab import Tab
from ui.web.analysis.tabs.geometry import geometry_tab
from ui.web.analysis.tabs.map import map_tab
from ui.web.analysis.tabs.misses import misses_tab
from ui.web.analysis.tabs.probes import probes_tab
from ui.web.analysis.tabs.query_length import query_length_tab
from ui.web.errors import show_errors
from ui.web.galleries import Galleries

TABS: dict[str, Callable[[Galleries, gr.Dropdown], Tab]] = {
    "Geometry": geometry_tab,
    "Map": map_tab,
    "Query length": query_length_tab,
    "Misses": misses_tab,
    "Probes": probes_tab,
}
SELECTED_AT_FIRST = 5
"""Number of galleries that are compared when the page opens."""


def analysis_page(page: gr.Blocks, galleries: Galleries) -> None:
    """Add the page's components and event handlers to the open Blocks `page`."""
    selected = gr.Dropdown(
        galleries.names, value=galleries.names[:SELECTED_AT_FIRST], multiselect=True, label="Galleries",
        elem_id="compared", visible=len(galleries.names) > 1,
    )  # fmt: skip
    status = gr.HTML(elem_id="status", elem_classes="optional")

    @show_errors(html.note)
    def await_ready(names: list[str]) -> Iterator[str]:
        for progress in galleries.await_ready(names):
            yield html.waiting(*progress)
        yield ""

    ready = page.load(
        await_ready, selected, status, api_visibility="private", show_progress="hidden",
        concurrency_limit=None,
    )  # fmt: skip
    current = gr.State(next(iter(TABS)))
    tabs = gr.Tabs(elem_id="tabs")
    for title, lay_out in TABS.items():
        with tabs, gr.Tab(title, id=title) as header:
            note = gr.HTML(elem_classes="optional")
            tab = lay_out(galleries, selected)
        inputs = [selected, *tab.inputs]
        outputs = [note, *tab.outputs]
        settings: dict[str, Any] = {
            "api_visibility": "private",
            "show_progress": "minimal",
            "concurrency_limit": None,  # most of its time, `show` waits for a result
        }
        show = _handler(tab)
        header.select(lambda title=title: title, None, current, api_visibility="private")
        changes = [header.select, *(_change_event(each) for each in tab.inputs)]
        gr.on(changes, show, inputs, outputs, trigger_mode="always_last", **settings)
        selected.input(_if_current(title, show, len(outputs)), [current, *inputs], outputs, **settings)
        if title == current.value:
            ready.then(show, inputs, outputs, **settings)
        if tab.linked is not None:
            follow = _follow_link(title, tab.linked, len(tab.inputs))
            page.load(follow, None, [tabs, *tab.inputs], api_visibility="private", show_progress="hidden")


def _change_event(component: Any) -> Any:
    """Return the event after which a tab is updated; a text box waits until the text is complete."""
    return component.submit if isinstance(component, gr.Textbox) else component.input


def _follow_link(title: str, linked: Callable[..., Any], inputs: int) -> Callable[[gr.Request], Any]:
    """Return a handler that selects the tab of a link and sets the tab's inputs."""

    def follow(request: gr.Request) -> Any:
        values = linked(request.query_params)
        if values is None:
            return gr.Tabs(), *([gr.skip()] * inputs)
        return gr.Tabs(selected=title), *values

    return follow


def _handler(tab: Tab) -> Callable[..., Iterator[Any]]:
    """Return the handler that updates a tab; its first output is a note, empty unless there is an error."""
    unchanged = [gr.skip()] * len(tab.outputs)

    @show_errors(lambda message: (html.note(message), *unchanged))
    def show(request: gr.Request, names: list[str], *values: Any) -> Iterator[Any]:
        if not names:
            yield html.note("Select a gallery."), *unchanged
            return
        steps = tab.show(names, *values)
        for outputs in tab.stop.until_pressed(request, steps) if tab.stop else steps:
            yield "", *outputs

    return show


def _if_current(title: str, show: Callable[..., Iterator[Any]], outputs: int) -> Callable[..., Iterator[Any]]:
    """Return `show` for an event that all tabs receive: only the visible tab is updated."""

    def show_if_current(request: gr.Request, current: str, *inputs: Any) -> Iterator[Any]:
        if current == title:
            yield from show(request, *inputs)
        else:
            yield [gr.skip()] * outputs

    return show_if_current
