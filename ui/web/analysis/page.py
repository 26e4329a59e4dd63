"""The analysis page: measurements of one gallery, or of several side by side."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from itr_core.errors import QueryError
from ui.web import html
from ui.web.analysis.address import address_bar, clear, parse_link, slug
from ui.web.analysis.tab import Tab
from ui.web.analysis.tabs.map import map_tab
from ui.web.analysis.tabs.misses import misses_tab
from ui.web.analysis.tabs.overview import overview_tab
from ui.web.analysis.tabs.probes import probes_tab
from ui.web.analysis.tabs.query_length import query_length_tab
from ui.web.errors import show_errors
from ui.web.galleries import Galleries

TABS: dict[str, Callable[[Galleries, gr.Dropdown], Tab]] = {
    "Overview": overview_tab,
    "Map": map_tab,
    "Query length": query_length_tab,
    "Misses": misses_tab,
    "Probes": probes_tab,
}
SELECTED_AT_FIRST = 5
"""Number of galleries that are compared when the page opens."""
PRIVATE: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "minimal",
    "concurrency_limit": None,  # most of its time, `show` waits for a result
}


def analysis_page(galleries: Galleries) -> None:
    """Add the page's components and event handlers to the open Blocks."""
    selected = gr.Dropdown(
        galleries.all_names, value=galleries.names[:SELECTED_AT_FIRST], multiselect=True, label="Galleries",
        info="The map shows the first one, Misses and Probes the first one with captions.",
        elem_id="compared", visible=len(galleries.all_names) > 1 or "hidden",
    )  # fmt: skip
    status = gr.HTML(elem_id="status", elem_classes="optional")
    tabs, headers, notes = gr.Tabs(elem_id="tabs"), {}, {}
    laid_out: dict[str, Tab] = {}
    for title, lay_out in TABS.items():
        with tabs, gr.Tab(title, id=title) as headers[title]:
            notes[title] = gr.HTML(elem_classes="optional")
            laid_out[title] = lay_out(galleries, selected)

    address = address_bar(selected, laid_out)
    clear(selected.input, [each for tab in laid_out.values() for each in tab.opened])
    for title, tab in laid_out.items():
        inputs = [selected, *tab.inputs.values()]
        for event, function in (
            (headers[title].select, "open"),
            (selected.input, "changed"),
            *((_change_event(each), "changed") for each in tab.inputs.values()),
            *((click.then, "record") for click in tab.clicks),
        ):
            js = f"(...values) => {{ window.pairscope.{function}({json.dumps(slug(title))}, values); }}"
            event(None, inputs, None, js=js, api_visibility="private")
        outputs = [notes[title], *tab.outputs]
        update = getattr(address, slug(title))
        updated = update(_handler(galleries, tab), inputs, outputs, trigger_mode="always_last", **PRIVATE)
        updated.then(None, js="() => { window.pairscope.updated(); }", api_visibility="private")

    every_input = [each for tab in laid_out.values() for each in tab.inputs.values()]
    unchanged = [gr.skip()] * (2 + len(every_input))

    @show_errors(lambda message: [html.note(message), *unchanged])
    def restore(link: str) -> list[Any]:
        title, names, values = parse_link(link, selected, laid_out)
        of_inputs = [
            value
            for each, tab in laid_out.items()
            for value in values.get(each, [gr.skip()] * len(tab.inputs))
        ]
        return ["", gr.Tabs(selected=title), names or selected.value, *of_inputs]

    address.restore(
        restore,
        address,
        [status, tabs, selected, *every_input],
        js="() => [location.search]",
        trigger_mode="multiple",
        **PRIVATE,
    ).then(None, js="() => { window.pairscope.restored(); }", api_visibility="private")


def _change_event(component: Any) -> Any:
    """Return the event after which a tab is updated; a text box waits until the text is complete."""
    return component.submit if isinstance(component, gr.Textbox) else component.input


def _handler(galleries: Galleries, tab: Tab) -> Callable[..., Iterator[Any]]:
    """Return the handler that updates a tab; its first output is the progress of a build, or an error.

    With an error, the tab has no plots: those of before would be taken for what was asked for.
    """
    unchanged = [gr.skip()] * len(tab.outputs)
    emptied = ["" if isinstance(each, gr.HTML) else gr.skip() for each in tab.outputs]

    @show_errors(lambda message: (html.note(message), *emptied))
    def show(request: gr.Request, names: list[str], *values: Any) -> Iterator[Any]:
        if not names:
            raise QueryError("Select a gallery.")
        for progress in galleries.await_ready(names):
            yield html.waiting(*progress), *unchanged
        steps = tab.show(names, *values)
        for outputs in tab.stop.until_pressed(request, steps) if tab.stop else steps:
            yield "", *outputs

    return show
