"""The map tab: where images and captions lie, what is near what, and where a query goes."""

from collections.abc import Generator, Mapping
from typing import Any

import gradio as gr

from itr_core.errors import PairscopeError, QueryError
from ui.web import html
from ui.web.analysis.jobs import Stop, working
from ui.web.analysis.panels import map_points
from ui.web.analysis.plot import drawn, plot
from ui.web.analysis.tab import Desk, Tab
from ui.web.html import CLICKS

KINDS = {
    "pictures and captions": "joint",
    "the same without the gap": "centred",
    "pictures": "images",
    "captions": "captions",
}
COLOURS = {"kind": "modality", "category": "category", "length": "length", "rank": "rank", "error": "cause"}
SAYS = (
    "Diamonds are pictures, discs are captions; what the model takes for alike lies together. Directions and "
    "distances across the map mean nothing. Click a point to open it, draw a lasso to gather several."
)


def map_tab(desk: Desk, chosen: gr.Dropdown) -> Tab:
    """Lay the tab out. PCA is shown at once and makes room for UMAP when that is ready."""
    names = desk.galleries.names
    with gr.Row(elem_classes="choices"):
        one = gr.Dropdown(
            names, value=names[0], label="Gallery", visible=len(names) > 1, elem_id="map-gallery"
        )
        kind = gr.Dropdown([*KINDS.items()], value="joint", label="Map of", elem_id="map-kind")
        colour = gr.Dropdown([*COLOURS.items()], value="modality", label="Coloured by", elem_id="map-colour")
        query = gr.Textbox(
            label="Show a query on the map", placeholder="a dog on a beach", elem_id="map-query"
        )
        stop = gr.Button("Stop", visible=False, elem_id="map-stop", min_width=80, scale=0)

    def describe(asked: Any) -> dict[str, str]:
        """Server function: [meta of the plot, key of a point] from the browser."""
        try:
            meta, key = asked
            return map_points.describe(desk.of(str(meta["gallery"])), key)
        except (PairscopeError, TypeError, ValueError, KeyError) as error:
            return {"caption": str(error) if isinstance(error, PairscopeError) else "", "thumbnail": ""}

    progress = gr.HTML(elem_classes="tab-note", elem_id="map-progress")
    view = plot(elem_id="map", describe=describe)
    opened = gr.HTML(elem_id="map-opened", js_on_load=CLICKS)

    def show(names: list[str], one: str, kind: str, colour: str, query: str) -> Generator[tuple[Any, ...]]:
        from analysis.colouring import TITLES, colouring
        from analysis.figures.maps import embedding_map

        analysis = desk.of(one)
        values = colouring(analysis, _known(colour, COLOURS))  # type: ignore[arg-type]
        embedded = desk.galleries.searcher(one).embed_text(query)[None] if query.strip() else None

        def figure(method: str, maps: Any) -> dict[str, Any]:
            star = (
                maps["captions"].place(embedded)[0] if embedded is not None and "captions" in maps else None
            )
            picture = embedding_map(
                maps, colour=values, colour_title=TITLES.get(colour, colour), query=star, title=method
            )
            picture.update_traces(hoverinfo="none", hovertemplate=None).update_layout(
                height=640, legend={"y": -0.02, "yanchor": "top"}
            )
            return drawn(picture, SAYS, f"map-{kind}-{method.lower()}", zoom=True, gallery=one)

        with working(analysis.map, _known(kind, KINDS)) as work:
            if work.running(0.3):
                yield gr.Button(visible=True), "", figure("PCA", analysis.map(kind, "pca"))  # type: ignore[arg-type]
            while work.running():
                yield gr.skip(), html.render("mapping.html", work=work), gr.skip()
            yield gr.Button(visible=False), "", figure("UMAP", work.result())

    def open_points(one: str, event: gr.EventData) -> str:
        try:
            analysis, searcher = desk.of(one), desk.galleries.searcher(one)
            keys = getattr(event, "keys", None)
            if not isinstance(keys, list):
                item, query = getattr(event, "item", None), getattr(event, "query", None)
                keys = [map_points.of_card(analysis, item, query)]
            return map_points.opened(analysis, searcher, keys, one)
        except PairscopeError as error:
            return html.status(notes=[str(error)])

    for source in (view, opened):
        source.select(open_points, one, opened, api_visibility="private", show_progress="minimal")

    ended = gr.update(visible=False), "", gr.skip()

    def linked(asked: Mapping[str, str]) -> list[Any] | None:
        gallery = asked.get("g", names[0])
        return [gallery, gr.skip(), gr.skip(), asked["q"]] if "q" in asked and gallery in names else None

    return Tab(show, [one, kind, colour, query], [stop, progress, view], Stop(stop, ended), linked)


def _known(value: str, choices: dict[str, str]) -> str:
    if value not in choices.values():
        raise QueryError(f"There is no {value!r} to choose here.")
    return value
