"""What does this model hear? The report card of a gallery's model, as a picture to share and a table."""

from base64 import b64encode
from collections.abc import Generator, Iterator
from typing import Any

import gradio as gr
import pandas as pd

from analysis.report_card.measure import verdict
from ui.web import html
from ui.web.analysis.jobs import Stop, awaited
from ui.web.errors import show_errors
from ui.web.galleries import Galleries
from ui.web.learn.panel import Panel

_CHOSEN = "() => [new URLSearchParams(location.search).get('g') ?? '']"
"""The gallery that is chosen at the top of the page."""


def add_report_card(galleries: Galleries) -> None:
    """Add the panel to the open Blocks. The test runs in a process and is cached with the gallery."""
    gr.HTML(html.render("learn_report_card_about.html"))
    with gr.Row(elem_classes="choices"):
        test = gr.Button(
            "Test this model", variant="primary", elem_id="report-card-test", min_width=220, scale=0
        )
        stop = gr.Button("Stop", visible=False, elem_id="report-card-stop", min_width=80, scale=0)
    card = gr.HTML(elem_id="report-card")

    def steps(name: str) -> Generator[tuple[Any, ...]]:
        name = name or galleries.names[0]
        for progress in galleries.await_ready([name]):
            yield gr.skip(), html.waiting(*progress)
        for _, work in awaited(galleries, [name], "report_card"):
            what = "Asking 600 questions, which takes about a minute: the model"
            yield gr.Button(visible=True), html.render("computing.html", what=what, name=name, work=work)
        encoder = galleries.searcher(name).encoder
        table = galleries.analysis(name).report_card(encoder)
        yield gr.Button(visible=False), card_html(table, encoder.spec)

    stopping = Stop(stop, (gr.update(visible=False), html.note("The test was stopped.")))

    @show_errors(lambda message: (gr.Button(visible=False), html.note(message)))
    def run(request: gr.Request, name: str) -> Iterator[tuple[Any, ...]]:
        yield from stopping.until_pressed(request, steps(name))

    chosen = gr.Textbox(visible=False)
    test.click(
        run, chosen, [stop, card], js=_CHOSEN, api_visibility="private", show_progress="minimal",
        concurrency_limit=None,
    )  # fmt: skip


def card_html(card: pd.DataFrame, model: str) -> str:
    """Return a report card as a picture with its files, and as a table."""
    from analysis.report_card.picture import card_png, card_svg

    svg = card_svg(card, model)
    rows = [
        {**row, "kind": kind, "verdict": verdict(row["accuracy"], row["low"])}
        for kind, row in card.to_dict("index").items()
    ]
    return html.render(
        "learn_report_card.html",
        model=model, rows=rows, file=f"pairscope-{''.join(c if c.isalnum() else '-' for c in model)}",
        svg=b64encode(svg.encode()).decode(), png=b64encode(card_png(svg)).decode(),
        csv=b64encode(card.to_csv().encode()).decode(),
    )  # fmt: skip


REPORT_CARD = Panel(
    "report-card",
    "What does this model hear?",
    "Does it notice “no”, the order of words, numbers, colours and places? Six kinds of questions with exact "
    "truth, as a picture to share.",
    "Measure and play",
    add_report_card,
)
