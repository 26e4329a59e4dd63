"""The tab Misses: the cause of every miss at rank 1, and the verdicts of people."""

import time
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import gradio as gr
import pandas as pd

from analysis.gallery_analysis import GalleryAnalysis
from itr_core.errors import PairscopeError, QueryError
from ui.web import html
from ui.web.analysis.address import clear
from ui.web.analysis.jobs import awaited
from ui.web.analysis.panels import miss_cards
from ui.web.analysis.panels.miss_cards import ORDERS, MissFilter
from ui.web.analysis.plot import Value, plot, plot_value
from ui.web.analysis.shared import shared
from ui.web.analysis.tab import Tab
from ui.web.errors import message_of, show_errors
from ui.web.galleries import Galleries
from ui.web.html import event_value

PAGE = 24
"""Number of misses that are shown first, and added by the button below them."""
CAPTION = "Share of each cause among the queries with a miss at rank 1. Click a bar to see its misses."
CONFUSION_CLICKS = """
element.addEventListener('click', (event) => {
  const row = event.target.closest('button[data-captioned]');
  if (row) trigger('select', {...row.dataset});
});
"""
# The pressed button changes at once and keeps the focus; the server only returns the new count.
VERDICT_CLICKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-verdict]');
  if (!button) return;
  const pressed = button.getAttribute('aria-pressed') === 'true';  // the same verdict again takes it back
  for (const each of button.parentElement.querySelectorAll('button'))
    each.setAttribute('aria-pressed', String(each === button && !pressed));
  trigger('select', {...button.dataset});
});
"""


BETWEEN = "|"
"""Between the parts of a confusion: concept, word of the caption, word of the image."""


class Shown(NamedTuple):
    """What the tab shows, as the texts of its inputs; a link can contain any text."""

    direction: str = ""
    cause: str = ""
    concept: str = ""
    order: str = "worst"
    confused: str = ""
    most: str = str(PAGE)

    @property
    def filter(self) -> MissFilter:
        """The filter; a confusion without three parts is none."""
        match self.confused.split(BETWEEN):
            case [concept, captioned, depicted]:
                return MissFilter(self.direction, self.cause, self.concept, (concept, captioned, depicted))
        return MissFilter(self.direction, self.cause, self.concept)

    @property
    def number(self) -> int:
        """The number of misses."""
        known = self.most.isascii() and self.most.isdecimal() and len(self.most) < 6
        return max(PAGE, int(self.most)) if known else PAGE


class Outputs(NamedTuple):
    """Values of the tab's outputs, in the order of `misses_tab`."""

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
    cards: Any
    more: Any


class Found(NamedTuple):
    """What all visitors with the same filter see."""

    rows: pd.DataFrame
    causes: list[tuple[str, str]]
    """Choices of the filter."""
    concepts: list[tuple[str, str]]
    """Choices of the filter."""
    summary: str
    confusions: str


UNCHANGED = Outputs(*[gr.skip()] * len(Outputs._fields))

errors_in_problem = show_errors(lambda message: UNCHANGED._replace(problem=html.note(message)))


def misses_tab(galleries: Galleries, selected: gr.Dropdown) -> Tab:
    """Add the tab's components and event handlers; it shows one gallery at a time."""
    with gr.Row(elem_classes="choices"):
        direction = gr.Dropdown(
            [("T2I and I2T", ""), ("T2I: captions to pictures", "t2i"), ("I2T: pictures to captions", "i2t")],
            value="", label="Direction", elem_id="misses-direction",
        )  # fmt: skip
        cause = gr.Dropdown([("all", "")], value="", label="Cause", elem_id="misses-cause")
        concept = gr.Dropdown([("any", "")], value="", label="Differs in", elem_id="misses-concept")
        order = gr.Dropdown(
            [("worst first", "worst"), ("most confident first", "most_confident")],
            value="worst", label="Order", elem_id="misses-order",
        )  # fmt: skip
    confused, count = gr.Textbox("", visible=False), gr.Textbox(str(PAGE), visible=False)
    summary = gr.HTML(elem_id="misses-summary")
    with gr.Row():
        with gr.Column(scale=3, min_width=340):
            causes = plot(elem_id="causes")
        with gr.Column(scale=2, min_width=300):
            confusions = gr.HTML(elem_id="confusions", js_on_load=CONFUSION_CLICKS)
    problem = gr.HTML(elem_id="misses-problem", elem_classes="optional")
    tally = gr.HTML(elem_id="verdicts")
    cards = gr.HTML(elem_id="misses", js_on_load=VERDICT_CLICKS)
    more = gr.Button("Show more", visible=False, elem_id="misses-more")
    outputs = Outputs(
        direction, cause, concept, confused, count, problem, summary, causes, confusions, tally, cards, more
    )
    filters = {"direction": direction, "cause": cause, "concept": concept, "order": order}
    inputs = {**filters, "confused": confused, "shown": count}

    first = galleries.first_paired

    def show(names: list[str], *values: str) -> Generator[Outputs]:
        needed = [] if galleries.analysis(first(names)).unpaired else ["misses"]
        for name, work in awaited(galleries, [first(names)], *needed):
            progress = html.render("computing.html", what="Finding the misses", name=name, work=work)
            yield UNCHANGED._replace(problem=progress)
        yield _outputs(galleries, first(names), Shown(*values))

    @errors_in_problem
    def by_bar(names: list[str], order: str, event: gr.EventData) -> Outputs:
        keys = event_value(event, "keys")
        direction, cause = miss_cards.parse_bar(keys[0] if isinstance(keys, list) and keys else "")
        return _outputs(galleries, first(names), Shown(direction, cause, order=order))

    @errors_in_problem
    def by_confusion(event: gr.EventData, names: list[str], *values: str) -> Outputs:
        before = Shown(*values)
        parts = (str(event_value(event, name)) for name in ("concept", "captioned", "depicted"))
        confused = BETWEEN.join(parts)
        after = before._replace(confused="" if confused == before.confused else confused, most=str(PAGE))
        return _outputs(galleries, first(names), after)

    @errors_in_problem
    def show_more(names: list[str], *values: str) -> Outputs:
        before = Shown(*values)
        return _outputs(galleries, first(names), before._replace(most=str(before.number + PAGE)))

    @errors_in_problem
    def judge(event: gr.EventData, names: list[str], *values: str) -> Outputs:
        analysis = galleries.analysis(first(names))
        verdict = (event_value(event, name) for name in ("direction", "query", "found", "verdict"))
        try:
            miss_cards.judge(analysis, *verdict)
        except PairscopeError as error:  # the buttons must show the saved verdicts again
            outputs = _outputs(galleries, first(names), Shown(*values))
            # The browser redraws only HTML that differs from the HTML before.
            cards = f"{outputs.cards}<!-- {time.monotonic_ns()} -->"
            return outputs._replace(problem=html.note(message_of(error)), cards=cards)
        return UNCHANGED._replace(problem="", tally=miss_cards.saved_verdicts(analysis)[0])

    settings: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    every = [selected, *inputs.values()]
    for each in filters.values():
        clear(each.input, [confused, count])
    clicks = [
        causes.select(by_bar, [selected, order], outputs, **settings),
        confusions.select(by_confusion, every, outputs, **settings),
        more.click(show_more, every, outputs, **settings),
    ]
    cards.select(judge, every, outputs, trigger_mode="multiple", **settings)
    return Tab(show, inputs, outputs, opened=[confused, count], clicks=clicks)


def _outputs(galleries: Galleries, gallery: str, shown: Shown) -> Outputs:
    """Return all outputs of the tab."""
    from analysis.figures import misses as figures

    if shown.order not in ORDERS:
        raise QueryError(f"Misses have no order {shown.order!r}.")
    analysis = galleries.analysis(gallery)
    if analysis.unpaired:
        return UNCHANGED._replace(
            problem=html.note(analysis.unpaired), summary="", causes=None, confusions="", tally="", cards="",
            more=gr.Button(visible=False),
        )  # fmt: skip
    wanted = shown.filter

    def draw() -> Value:
        return plot_value(figures.causes({gallery: analysis.misses()}), CAPTION, "causes-of-misses")

    found = shared("misses", {gallery: analysis}, lambda: _found(analysis, wanted), wanted)
    tally, verdicts = miss_cards.saved_verdicts(analysis)
    return Outputs(
        direction=wanted.direction,
        cause=_choice(found.causes, wanted.cause),
        concept=_choice(found.concepts, wanted.concept),
        confused=shown.confused,
        count=str(shown.number),
        problem="" if len(found.rows) else html.note("No misses match this filter."),
        summary=found.summary,
        causes=shared("causes", {gallery: analysis}, draw),
        confusions=found.confusions,
        tally=tally,
        cards=miss_cards.cards(analysis, gallery, ORDERS[shown.order](found.rows, shown.number), verdicts),
        more=gr.Button(f"Show more of {len(found.rows):,} misses", visible=len(found.rows) > shown.number),
    )


def _found(analysis: GalleryAnalysis, wanted: MissFilter) -> Found:
    table = analysis.misses()
    of_direction = miss_cards.select(table, MissFilter(wanted.direction))
    of_cause = miss_cards.select(of_direction, MissFilter(cause=wanted.cause))
    return Found(
        rows=miss_cards.select(table, wanted),
        causes=miss_cards.choices(of_direction, "cause", "all"),
        concepts=miss_cards.choices(of_cause, "concept", "any"),
        summary=miss_cards.summary(table, wanted.cause, exact=bool((table["by"] == "truth").any())),
        confusions=miss_cards.confusions(table, wanted),
    )


def _choice(choices: Sequence[tuple[str, str]], value: str) -> gr.Dropdown:
    """Return a filter that keeps its value even if the other filters leave no such misses."""
    missing = [] if any(value == each for _, each in choices) else [(f"{value} (0)", value)]
    return gr.Dropdown([*choices, *missing], value=value)
