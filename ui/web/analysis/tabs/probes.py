"""The tab on probes: what a model does when a true caption is changed a little, and which words it uses."""

import random
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import gradio as gr

from itr_core.errors import PairscopeError, QueryError
from ui.web import html
from ui.web.analysis.jobs import Stop, working
from ui.web.analysis.panels import probe_card
from ui.web.analysis.plot import drawn, plot
from ui.web.analysis.tab import Desk, Tab

IMPORTANCE = (
    "By how much the cosine falls when a word is left out; below 0, the picture fits better without it."
)
ACCURACY = (
    "How often the true caption scores higher than the changed one, over 500 pictures of each gallery; "
    "the dotted line is what tossing a coin does. Bars are 95 % intervals over pictures."
)
# A word shows its places by darkening the others. A caption asks the server for all that is shown of it.
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
  const places = element.querySelector('.places');
  places.style.setProperty('--side', Math.sqrt(shades.length));
  places.replaceChildren(...shades.map((shade) => {
    const place = document.createElement('i');
    place.style.setProperty('--shade', shade);
    return place;
  }));
  element.querySelector('.where').textContent = on ? word.dataset.where : '';
});
"""


class Shown(NamedTuple):
    """The outputs for one picture, in the order in which `probes_tab` lists them."""

    problem: Any
    picture: Any
    importance: Any
    table: Any


def probes_tab(desk: Desk, chosen: gr.Dropdown) -> Tab:
    """Lay the tab out: one picture of one gallery, and below it all chosen galleries by figures."""
    names = desk.galleries.names
    with gr.Row(elem_classes="choices"):
        one = gr.Dropdown(
            names, value=names[0], label="Gallery", visible=len(names) > 1, elem_id="probes-gallery"
        )
        query = gr.Textbox(
            label="A picture, by words or by its id", placeholder="two dogs in a meadow",
            elem_id="probes-query", max_length=10_000, scale=2,
        )  # fmt: skip
        surprise = gr.Button("Surprise me", elem_id="probes-surprise", min_width=170, scale=0)
    problem = gr.HTML(elem_id="probes-problem", elem_classes="tab-note")
    with gr.Row():
        with gr.Column(scale=3, min_width=340):
            picture = gr.HTML(elem_id="probed", js_on_load=CLICKS)
        with gr.Column(scale=2, min_width=300):
            importance = plot(elem_id="importance")
    table = gr.HTML(elem_id="probes")
    gr.HTML(html.render("probes_heading.html"))
    with gr.Row():
        measure = gr.Button("Measure how often each change is noticed", elem_id="probes-measure")
        stop = gr.Button("Stop", visible=False, elem_id="probes-stop", min_width=80, scale=0)
    progress = gr.HTML(elem_id="probes-progress", elem_classes="tab-note")
    accuracy = plot(elem_id="accuracy")
    outputs = Shown(problem, picture, importance, table)

    def shown(one: str, row: int, place: int) -> Shown:
        from analysis.figures import probes as figures

        of = probe_card.ProbeCard(desk.of(one), desk.galleries.searcher(one), row, place)
        words = drawn(figures.importance(of.importance()), IMPORTANCE, "word-importance")
        return Shown("", of.picture(one), words, of.table())

    def show(names: list[str], one: str, query: str) -> Generator[Shown]:
        yield shown(one, *probe_card.find(desk.of(one), desk.galleries.searcher(one), query))

    def by_chance(one: str) -> tuple[Any, ...]:
        try:
            analysis = desk.of(one)
            row, place = probe_card.any_captioned(analysis, random.random())
            return analysis.gallery.items["image_id"].iat[row], *shown(one, row, place)
        except PairscopeError as error:
            return gr.skip(), *_problem(error)

    def by_caption(one: str, event: gr.EventData) -> Shown:
        try:
            return shown(one, *probe_card.parse(desk.of(one), event._data))
        except PairscopeError as error:
            return _problem(error)

    def measured(names: list[str]) -> Generator[tuple[Any, ...]]:
        from analysis.figures import probes as figures

        tables: dict[str, Any] = {}
        try:
            for name in names:
                with working(desk.of(name).probe_accuracy, desk.galleries.searcher(name)) as work:
                    while work.running():
                        how_far = html.render(
                            "measuring.html", what="Changing captions", name=name, work=work
                        )
                        yield gr.Button(visible=True), how_far, gr.skip()
                    if len(table := work.result()):
                        tables[name] = table
            if not tables:
                raise QueryError("No caption here has a word that could be changed.")
            yield gr.Button(visible=False), "", drawn(figures.accuracy(tables), ACCURACY, "probe-accuracy")
        except PairscopeError as error:
            yield gr.Button(visible=False), html.status(notes=[str(error)]), gr.skip()

    stopping = Stop(stop, (gr.update(visible=False), "", gr.skip()))

    def stoppable(request: gr.Request, names: list[str]) -> Iterator[tuple[Any, ...]]:
        yield from stopping.until_pressed(request, measured(names))

    settings: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    surprise.click(by_chance, one, [query, *outputs], **settings)
    picture.select(by_caption, one, list(outputs), **settings)
    measure.click(stoppable, chosen, [stop, progress, accuracy], **settings)
    return Tab(show, [one, query], outputs)


def _problem(error: PairscopeError) -> Shown:
    return Shown(html.status(notes=[str(error)]), gr.skip(), gr.skip(), gr.skip())
