"""The analysis page: what lies behind the results, for one gallery or several side by side."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from itr_core.errors import PairscopeError
from ui.web import html
from ui.web.analysis.tab import Desk, Tab
from ui.web.analysis.tabs.geometry import space_tab
from ui.web.analysis.tabs.map import map_tab
from ui.web.analysis.tabs.misses import errors_tab
from ui.web.analysis.tabs.probes import probes_tab
from ui.web.analysis.tabs.query_length import length_tab
from ui.web.galleries import Galleries

TABS: dict[str, Callable[[Desk, gr.Dropdown], Tab]] = {
    "Geometry": space_tab,
    "Map": map_tab,
    "Query length": length_tab,
    "Errors": errors_tab,
    "Probes": probes_tab,
}
MOST = 5
"""Galleries that are compared unasked."""


def analysis_page(page: gr.Blocks, galleries: Galleries) -> None:
    """Lay the page out in `page`, the Blocks at work, over the galleries of `galleries`."""
    desk = Desk(galleries)
    chosen = gr.Dropdown(
        galleries.names, value=galleries.names[:MOST], multiselect=True, label="Galleries", elem_id="compared",
        visible=len(galleries.names) > 1,
    )  # fmt: skip
    status = gr.HTML(elem_id="status")
    ready = page.load(desk.await_ready, chosen, status, api_visibility="private", show_progress="hidden")
    current = gr.State(next(iter(TABS)))
    tabs = gr.Tabs(elem_id="tabs")
    for title, lay_out in TABS.items():
        with tabs, gr.Tab(title, id=title) as tab:
            note = gr.HTML(elem_classes="tab-note")
            wiring = lay_out(desk, chosen)
        outputs = [note, *wiring.outputs]
        inputs = [chosen, *wiring.inputs]
        settings: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
        show = show_errors(wiring)
        tab.select(lambda title=title: title, None, current, api_visibility="private")
        asking = [tab.select, *(_said(each) for each in wiring.inputs)]
        gr.on(asking, show, inputs, outputs, trigger_mode="always_last", **settings)
        chosen.input(_where_current(title, show, len(outputs)), [current, *inputs], outputs, **settings)
        if title == current.value:
            ready.then(show, inputs, outputs, **settings)
        if wiring.linked is not None:
            arrive = _arriving(title, wiring.linked, len(wiring.inputs))
            page.load(arrive, None, [tabs, *wiring.inputs], api_visibility="private", show_progress="hidden")


def _said(asked: Any) -> Any:
    """The event of an input that is answered: words only once they are all there."""
    return asked.submit if isinstance(asked, gr.Textbox) else asked.input


def _arriving(title: str, linked: Callable[..., Any], inputs: int) -> Callable[[gr.Request], Any]:
    """Open the tab that a link asks for, with its inputs set."""

    def arrive(request: gr.Request) -> Any:
        values = linked(request.query_params)
        if values is None:
            return gr.Tabs(), *([gr.skip()] * inputs)
        return gr.Tabs(selected=title), *values

    return arrive


def show_errors(wiring: Tab) -> Callable[..., Iterator[Any]]:
    """The tab's handler, with the note that says what is wrong in front of its outputs."""

    def answer(request: gr.Request, names: list[str], *inputs: Any) -> Iterator[Any]:
        nothing = [gr.skip()] * len(wiring.outputs)
        if not names:
            yield html.status(notes=["Choose a gallery."]), *nothing
            return
        try:
            steps = wiring.show(names, *inputs)
            for values in wiring.stop.until_pressed(request, steps) if wiring.stop else steps:
                yield "", *values
        except PairscopeError as error:
            yield html.status(notes=[str(error)]), *nothing

    return answer


def _where_current(
    title: str, show: Callable[..., Iterator[Any]], outputs: int
) -> Callable[..., Iterator[Any]]:
    """The same for an event that every tab hears, but only the one in sight should answer."""

    def answer(request: gr.Request, current: str, *inputs: Any) -> Iterator[Any]:
        if current == title:
            yield from show(request, *inputs)
        else:
            yield [gr.skip()] * outputs

    return answer
