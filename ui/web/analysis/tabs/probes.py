"""The tab Probes: how scores react to small changes of a true caption, and which words matter."""

import random
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import gradio as gr

from itr_core.errors import QueryError
from ui.web import html
from ui.web.analysis.address import clear
from ui.web.analysis.jobs import Stop, awaited
from ui.web.analysis.panels import probe_card
from ui.web.analysis.plot import plot, plot_value
from ui.web.analysis.tab import Tab
from ui.web.errors import show_errors
from ui.web.galleries import Galleries
from ui.web.html import event_value

IMPORTANCE = (
    "Decrease of the cosine when the word is removed. Below 0: the picture fits better without the word."
)
ACCURACY = (
    "How often the true caption scores higher than the changed one, on 500 pictures per gallery. "
    "Dotted line: chance (50 %). Bars: 95 % intervals over pictures."
)
# A word shows the patches it fits by darkening the others. A caption asks the server for its own card.
CLICKS = """
element.addEventListener('click', (event) => {
  const caption = event.target.closest('button[data-caption]');
  if (caption) trigger('select', {...caption.dataset});
  const word = event.target.closest('button[data-shades]');
  if (!word) return;
  const on = word.getAttribute('aria-pressed') !== 'true';
  for (const each of element.querySelectorAll('button[data-shades]'))
    each.setAttribute('aria-pressed', String(on && each === word));
  const shades = on ? word.dataset.shades.split(' ') : [];
  const patches = element.querySelector('.patches');
  patches.style.setProperty('--side', Math.sqrt(shades.length));
  patches.replaceChildren(...shades.map((shade) => {
    const patch = document.createElement('i');
    patch.style.setProperty('--shade', shade);
    return patch;
  }));
  element.querySelector('.best-patch').textContent = on ? word.dataset.best : '';
});
"""


class Outputs(NamedTuple):
    """Values of the outputs for one image, in the order of `probes_tab`."""

    problem: Any
    card: Any
    importance: Any
    table: Any


def _problem(message: str) -> Outputs:
    return Outputs(html.note(message), gr.skip(), gr.skip(), gr.skip())


def probes_tab(galleries: Galleries, selected: gr.Dropdown) -> Tab:
    """Add the tab's components and event handlers: one image of one gallery, then all selected galleries."""
    tab = _one_image(galleries, selected)
    _accuracy(galleries, selected)
    return tab


def _one_image(galleries: Galleries, selected: gr.Dropdown) -> Tab:
    with gr.Row(elem_classes="choices"):
        query = gr.Textbox(
            label="Find a picture by words or by its id", value="", placeholder="two dogs in a meadow",
            elem_id="probes-query", max_length=10_000, scale=2,
        )  # fmt: skip
        surprise = gr.Button("Surprise me", elem_id="probes-surprise", min_width=170, scale=0)
    problem = gr.HTML(elem_id="probes-problem", elem_classes="optional")
    with gr.Row():
        with gr.Column(scale=3, min_width=340):
            card = gr.HTML(elem_id="probe-card", js_on_load=CLICKS)
        with gr.Column(scale=2, min_width=300):
            importance = plot(elem_id="importance")
    outputs = Outputs(problem, card, importance, table=gr.HTML(elem_id="probes"))
    position = gr.Textbox("", visible=False)

    def probe(gallery: str, row: int, position: int) -> Outputs:
        from analysis.figures import probes as figures

        one = probe_card.ProbeCard(galleries.analysis(gallery), galleries.searcher(gallery), row, position)
        words = plot_value(figures.importance(one.importance()), IMPORTANCE, "word-importance")
        return Outputs("", one.card(gallery), words, one.table())

    first = galleries.first_paired

    def show(names: list[str], query: str, position: str) -> Generator[Outputs]:
        analysis = galleries.analysis(first(names))
        row, longest = probe_card.find(analysis, galleries.searcher(first(names)), query)
        item = analysis.gallery.items["image_id"].iat[row]
        yield probe(
            first(names),
            *(probe_card.parse(analysis, item, position) if position else (row, longest)),
        )

    @show_errors(lambda message: (gr.skip(), gr.skip(), *_problem(message)))
    def random_image(names: list[str]) -> tuple[Any, ...]:
        analysis = galleries.analysis(first(names))
        row, position = probe_card.captioned_image(analysis, random.random())
        return (
            analysis.gallery.items["image_id"].iat[row],
            "",
            *probe(first(names), row, position),
        )

    @show_errors(lambda message: (gr.skip(), *_problem(message)))
    def by_caption(names: list[str], event: gr.EventData) -> tuple[Any, ...]:
        item, position = event_value(event, "item"), event_value(event, "caption")
        return position, *probe(
            first(names),
            *probe_card.parse(galleries.analysis(first(names)), item, position),
        )

    settings: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    clicks = [
        surprise.click(random_image, selected, [query, position, *outputs], **settings),
        card.select(by_caption, selected, [position, *outputs], **settings),
    ]
    clear(query.submit, [position])
    return Tab(show, {"q": query, "caption": position}, outputs, opened=[position], clicks=clicks)


def _accuracy(galleries: Galleries, selected: gr.Dropdown) -> None:
    gr.HTML(html.render("probes_heading.html"))
    measure = gr.Button("Measure how often the model notices a change", elem_id="probes-measure")
    progress = gr.HTML(elem_id="probes-progress", elem_classes="optional")
    stop = gr.Button("Stop", visible=False, elem_id="probes-stop", elem_classes="stop")
    accuracy = plot(elem_id="accuracy")

    def steps(names: list[str]) -> Generator[tuple[Any, ...]]:
        from analysis.figures import probes as figures

        analyses, problems = galleries.paired(names)
        for name, work in awaited(galleries, list(analyses), "probes"):
            so_far = html.render(
                "computing.html", what="Changing and encoding the captions", name=name, work=work
            )
            yield gr.Button(visible=True), so_far, gr.skip()
        measured = {name: one.probe_accuracy(galleries.searcher(name)) for name, one in analyses.items()}
        tables = {name: table for name, table in measured.items() if len(table)}
        if not tables:
            raise QueryError("No caption of these galleries contains a word that the probes can change.")
        value = plot_value(figures.accuracy(tables), ACCURACY, "probe-accuracy")
        yield gr.Button(visible=False), html.notes(problems), value

    stopping = Stop(stop, (gr.update(visible=False), "", gr.skip()))

    @show_errors(lambda message: (gr.Button(visible=False), html.note(message), gr.skip()))
    def measure_accuracy(request: gr.Request, names: list[str]) -> Iterator[tuple[Any, ...]]:
        yield from stopping.until_pressed(request, steps(names))

    measure.click(
        measure_accuracy, selected, [stop, progress, accuracy], api_visibility="private",
        show_progress="minimal",
    )  # fmt: skip
