"""The tab on errors: why queries are not answered right, miss by miss, and what a person says of it."""

import time
from collections.abc import Callable, Generator, Sequence
from functools import wraps
from typing import Any, NamedTuple

import gradio as gr

from itr_core.errors import PairscopeError, QueryError
from ui.web import html
from ui.web.analysis.panels import miss_cards
from ui.web.analysis.panels.miss_cards import ORDERS, MissFilter
from ui.web.analysis.plot import drawn, plot
from ui.web.analysis.tab import Desk, Tab

PAGE = 24
"""Misses that are shown at once."""
SAYS = (
    "The share of each cause among the queries whose right answer does not come first. "
    "Click a bar for its misses."
)
ROWS = """
element.addEventListener('click', (event) => {
  const row = event.target.closest('button[data-captioned]');
  if (row) trigger('select', {...row.dataset});
});
"""
# The button shows its new state at once and keeps the focus; the server answers with the count.
VERDICTS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-verdict]');
  if (!button) return;
  for (const each of button.parentElement.querySelectorAll('button'))
    each.setAttribute('aria-pressed', String(each === button));
  trigger('select', {...button.dataset});
});
"""


class Shown(NamedTuple):
    """The tab's outputs, in the order in which `errors_tab` lists them."""

    direction: Any
    cause: Any
    concept: Any
    confused: Any
    count: Any
    problem: Any
    summary: Any
    causes: Any
    confusions: Any
    tally: Any
    listing: Any
    more: Any


def errors_tab(desk: Desk, chosen: gr.Dropdown) -> Tab:
    """Lay the tab out; one gallery at a time."""
    names = desk.galleries.names
    with gr.Row(elem_classes="choices"):
        one = gr.Dropdown(
            names, value=names[0], label="Gallery", visible=len(names) > 1, elem_id="errors-gallery"
        )
        direction = gr.Dropdown(
            [("T2I and I2T", ""), ("T2I: words to pictures", "t2i"), ("I2T: a picture to words", "i2t")],
            value="", label="Way", elem_id="errors-way",
        )  # fmt: skip
        cause = gr.Dropdown([("all", "")], value="", label="Cause", elem_id="errors-cause")
        concept = gr.Dropdown([("any", "")], value="", label="Differs in", elem_id="errors-concept")
        order = gr.Dropdown(
            [("worst first", "worst"), ("surest first", "most_confident")],
            value="worst", label="Order", elem_id="errors-order",
        )  # fmt: skip
    confused, count = gr.State(None), gr.State(PAGE)
    summary = gr.HTML(elem_id="errors-summary")
    with gr.Row():
        with gr.Column(scale=3, min_width=340):
            causes = plot(elem_id="causes")
        with gr.Column(scale=2, min_width=300):
            confusions = gr.HTML(elem_id="confusions", js_on_load=ROWS)
    problem = gr.HTML(elem_id="errors-problem", elem_classes="tab-note")
    tally = gr.HTML(elem_id="verdicts")
    listing = gr.HTML(elem_id="misses", js_on_load=VERDICTS)
    more = gr.Button("More", visible=False, elem_id="misses-more")
    outputs = Shown(
        direction, cause, concept, confused, count, problem, summary, causes, confusions, tally, listing, more
    )
    filters = [one, direction, cause, concept, order]

    def show(
        names: list[str], one: str, direction: str, cause: str, concept: str, order: str
    ) -> Generator[Shown]:
        yield _shown(desk, one, MissFilter(direction, cause, concept), order)

    def by_bar(one: str, order: str, event: gr.EventData) -> Shown:
        keys = _said(event, "keys")
        direction, cause = miss_cards.parse_bar(keys[0] if isinstance(keys, list) and keys else "")
        return _shown(desk, one, MissFilter(direction, cause), order)

    def by_confusion(
        one: str, direction: str, cause: str, concept: str, order: str, before: Any, event: gr.EventData
    ) -> Shown:
        confused = (
            str(_said(event, "concept")),
            str(_said(event, "captioned")),
            str(_said(event, "depicted")),
        )
        return _shown(
            desk, one, MissFilter(direction, cause, concept, None if confused == before else confused), order
        )

    def further(
        one: str, direction: str, cause: str, concept: str, order: str, confused: Any, count: int
    ) -> Shown:
        return _shown(desk, one, MissFilter(direction, cause, concept, confused), order, count + PAGE)

    def judge(
        one: str,
        direction: str,
        cause: str,
        concept: str,
        order: str,
        confused: Any,
        count: int,
        event: gr.EventData,
    ) -> Shown:
        analysis = desk.of(one)
        try:
            miss_cards.judge(
                analysis, *(_said(event, name) for name in ("direction", "query", "found", "verdict"))
            )
        except PairscopeError as error:
            shown = _shown(desk, one, MissFilter(direction, cause, concept, confused), order, count)
            # The buttons go back to what is kept; the browser draws only what differs from before.
            listing = f"{shown.listing}<!-- {time.monotonic_ns()} -->"
            return shown._replace(problem=html.status(notes=[str(error)]), listing=listing)
        return _nothing()._replace(problem="", tally=miss_cards.tally(analysis)[0])

    settings: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    causes.select(show_errors(by_bar), [one, order], outputs, **settings)
    confusions.select(show_errors(by_confusion), [*filters, confused], outputs, **settings)
    more.click(show_errors(further), [*filters, confused, count], outputs, **settings)
    listing.select(
        show_errors(judge), [*filters, confused, count], outputs, trigger_mode="multiple", **settings
    )
    return Tab(show, filters, outputs)


def _shown(desk: Desk, one: str, asked: MissFilter, order: str, count: int = PAGE) -> Shown:
    """Everything in the tab for what is asked."""
    from analysis.figures import misses as figures

    if order not in ORDERS:
        raise QueryError(f"Misses have no order {order!r}.")
    analysis = desk.of(one)
    table = analysis.misses()
    rows = miss_cards.chosen(table, asked)
    problem = "" if len(rows) else html.status(notes=["No misses of that kind. Choose another filter."])
    said, verdicts = miss_cards.tally(analysis)
    ways = miss_cards.chosen(table, MissFilter(asked.direction))
    of_cause = miss_cards.chosen(ways, MissFilter(cause=asked.cause))
    return Shown(
        direction=asked.direction,
        cause=_choice(miss_cards.choices(ways, "cause", "all"), asked.cause),
        concept=_choice(miss_cards.choices(of_cause, "concept", "any"), asked.concept),
        confused=asked.confused,
        count=count,
        problem=problem,
        summary=miss_cards.summary(table, asked.cause, exact=bool((table["by"] == "truth").any())),
        causes=drawn(figures.causes({one: table}), SAYS, "causes-of-misses"),
        confusions=miss_cards.confusions(table, asked),
        tally=said,
        listing=miss_cards.listing(analysis, one, ORDERS[order](rows, count), verdicts),
        more=gr.Button(f"More of {len(rows):,} misses", visible=len(rows) > count),
    )


def _choice(choices: Sequence[tuple[str, str]], value: str) -> gr.Dropdown:
    """A filter whose value stays, even where another filter leaves nothing of it."""
    gone = [] if any(value == each for _, each in choices) else [(f"{value} (0)", value)]
    return gr.Dropdown([*choices, *gone], value=value)


def _nothing() -> Shown:
    return Shown(*[gr.skip()] * len(Shown._fields))


def _said(event: gr.EventData, name: str) -> Any:
    """What the browser says of an event: anything at all."""
    return event._data.get(name) if isinstance(event._data, dict) else None


def show_errors(handler: Callable[..., Shown]) -> Callable[..., Shown]:
    """Say what is wrong in the tab, and leave the rest as it is."""

    @wraps(handler)
    def answer(*inputs: Any) -> Shown:
        try:
            return handler(*inputs)
        except PairscopeError as error:
            return _nothing()._replace(problem=html.status(notes=[str(error)]))

    return answer
