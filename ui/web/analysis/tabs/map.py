"""The tab Map: a projection of the image and caption embeddings, and the position of a query in it."""

from collections.abc import Generator
from typing import Any

import gradio as gr
import numpy as np

from analysis.colouring import By
from analysis.gallery_analysis import GalleryAnalysis, Kind, Method
from itr_core.errors import GalleryError, QueryError
from ui.web import html
from ui.web.analysis.jobs import Stop, awaited, working
from ui.web.analysis.panels import map_points
from ui.web.analysis.plot import Value, plot, plot_value
from ui.web.analysis.shared import shared
from ui.web.analysis.tab import Tab
from ui.web.errors import show_errors
from ui.web.galleries import Galleries, first
from ui.web.html import CLICKS, event_value

KINDS: dict[str, Kind] = {
    "pictures and captions": "joint",
    "both, gap removed": "centred",
    "pictures": "images",
    "captions": "captions",
}
COLOURS: dict[str, By] = {
    "modality": "modality",
    "category": "category",
    "length": "length",
    "rank": "rank",
    "cause of the miss": "cause",
}
RESULTS = {"rank": ["ranks"], "cause": ["misses"]}
"""Colour -> results that it needs."""
CAPTION = (
    "Diamonds are pictures, discs are captions. Neighbours have similar embeddings; directions and long "
    "distances have no meaning. Click a point to open it, or select several with the lasso."
)


# On a narrow page the details are below the map.
INTO_VIEW = """
watch('value', () => element.querySelector('.map-point, .status')?.scrollIntoView({block: 'nearest'}));
"""


def map_tab(galleries: Galleries, selected: gr.Dropdown) -> Tab:
    """Add the tab's components and event handlers. PCA is shown until UMAP is computed."""
    with gr.Row(elem_classes="choices"):
        kind = gr.Dropdown([*KINDS.items()], value="joint", label="Map of", elem_id="map-kind")
        colour = gr.Dropdown([*COLOURS.items()], value="modality", label="Colour by", elem_id="map-colour")
        query = gr.Textbox(
            label="Show a query on the map", value="", placeholder="a dog on a beach", elem_id="map-query"
        )

    @show_errors(lambda message: {"caption": message, "thumbnail": ""})
    def describe(hovered: Any) -> dict[str, str]:
        return _describe(galleries, hovered)

    progress = gr.HTML(elem_classes="optional", elem_id="map-progress")
    stop = gr.Button("Stop", visible=False, elem_id="map-stop", elem_classes="stop")
    with gr.Row(elem_id="map-and-details"):
        with gr.Column(scale=5, min_width=340):
            view = plot(elem_id="map", describe=describe, bundle="gl2d")
        with gr.Column(scale=3, min_width=300):
            details = gr.HTML(elem_id="map-details", js_on_load=CLICKS + INTO_VIEW)
    opened = gr.Textbox("", visible=False)

    def show(names: list[str], kind: Kind, colour: By, query: str, opened: str) -> Generator[tuple[Any, ...]]:
        yield *[gr.skip()] * 3, details_of(first(names), opened)
        for outputs in _steps(galleries, first(names), kind, colour, query):
            yield *outputs, gr.skip()

    @show_errors(html.note)
    def details_of(gallery: str, opened: str) -> str:
        if not opened:
            return ""
        analysis, searcher = galleries.analysis(gallery), galleries.searcher(gallery)
        return map_points.details(analysis, searcher, opened.split(), gallery)

    @show_errors(lambda message: ("", html.note(message)))
    def open_points(names: list[str], event: gr.EventData) -> tuple[str, str]:
        keys = event_value(event, "keys")
        if not isinstance(keys, list):
            item, caption = event_value(event, "item"), event_value(event, "query")
            keys = [map_points.key_of_card(galleries.analysis(first(names)), item, caption)]
        opened = " ".join(map(str, keys))
        return opened, details_of(first(names), opened)

    clicks = [
        source.select(
            open_points, selected, [opened, details], api_visibility="private", show_progress="minimal"
        )
        for source in (view, details)
    ]
    ended = gr.update(visible=False), "", gr.skip(), gr.skip()
    inputs = {"map": kind, "colour": colour, "q": query, "open": opened}
    return Tab(show, inputs, [stop, progress, view, details], Stop(stop, ended), [opened], clicks)


def _describe(galleries: Galleries, hovered: Any) -> dict[str, str]:
    """Return caption and thumbnail of [meta of the plot, key of a point], which may be anything."""
    meta, key = hovered if isinstance(hovered, list) and len(hovered) == 2 else (None, None)
    gallery = meta.get("gallery") if isinstance(meta, dict) else None
    return map_points.describe(galleries.analysis(str(gallery)), key)


def _steps(
    galleries: Galleries, gallery: str, kind: Kind, colour: By, query: str
) -> Generator[tuple[Any, ...]]:
    """Yield the values of button, progress and plot: PCA if UMAP is not known yet, progress, then UMAP."""
    if kind not in KINDS.values() or colour not in COLOURS.values():
        raise QueryError(f"There is no map of {kind!r} coloured by {colour!r}.")
    analysis = galleries.analysis(gallery)
    needed = [] if analysis.unpaired else RESULTS.get(colour, [])
    for name, ranking in awaited(galleries, [gallery], *needed):
        progress = html.render("computing.html", what="Ranking the queries", name=name, work=ranking)
        yield gr.skip(), progress, gr.skip()
    embedding = galleries.searcher(gallery).embed_text(query)[None] if query.strip() else None

    def value_of(method: Method) -> Value:
        def draw() -> Value:
            return _plot(analysis, gallery, kind, colour, method, embedding)

        if embedding is not None:
            return draw()
        return shared("map", {gallery: analysis}, draw, kind, colour, method)

    with working(galleries, gallery, f"umap-{analysis.kind_of_map(kind)}") as work:
        if work.running(0.3):
            yield gr.Button(visible=True), "", value_of("pca")
        while work.running():
            yield gr.skip(), html.render("computing_map.html", work=work), gr.skip()
    yield gr.Button(visible=False), "", value_of("umap")


def _plot(
    analysis: GalleryAnalysis,
    gallery: str,
    kind: Kind,
    colour: By,
    method: Method,
    query: np.ndarray | None,
) -> Value:
    """Return the value of the plot; `query` is the embedding (1, d) of a query to show.

    What the gallery does not have, such as captions or labels, is left out, and the caption says so.
    """
    from analysis.colouring import TITLES, colouring
    from analysis.figures.maps import NAMES, embedding_map

    maps = analysis.map(kind, method)
    near = "captions" if "captions" in maps else "images"
    sentences = [CAPTION]
    if kind not in ("joint", analysis.kind_of_map(kind)):
        sentences.append("This gallery has no captions, so the map shows its pictures.")
    equal = [NAMES[name] for name, each in maps.items() if each.equal]
    sentences += [f"The embeddings of all {name} are equal." for name in equal]
    star = None
    if query is not None:
        star = maps[near].place(query)[0]
        sentences.append(f"The star is the query, between the {NAMES[near]} most similar to it.")
    try:
        values = colouring(analysis, colour)
    except GalleryError as error:
        values = None
        sentences.append(str(error))
    figure = embedding_map(
        maps, colour=values, colour_title=TITLES.get(colour, colour), query=star, title=method.upper()
    )
    figure.update_traces(hoverinfo="none", hovertemplate=None)
    figure.update_layout(height=640, legend={"y": -0.02, "yanchor": "top"})
    return plot_value(figure, " ".join(sentences), f"map-{kind}-{method}", zoom=True, gallery=gallery)
