"""The page Sources: what each gallery contains, and which model embedded it."""

from collections.abc import Iterator

import gradio as gr

from itr_core.errors import PairscopeError
from itr_core.gallery.manifest import Manifest
from ui.web import html
from ui.web.galleries import Galleries


def sources_page(galleries: Galleries) -> None:
    """Add the page's components and event handlers to the open Blocks."""
    table = gr.HTML(elem_id="sources")

    def rows() -> Iterator[tuple[str, Manifest | None, str]]:
        for name in galleries.names:
            try:
                yield name, galleries.searcher(name, timeout=0).gallery.manifest, ""
            except PairscopeError as error:  # still loading, or could not be opened
                yield name, None, str(error)

    def show() -> Iterator[str]:
        for _ in galleries.await_ready(galleries.names):
            yield html.render("sources.html", rows=rows())
        yield html.render("sources.html", rows=rows())

    gr.on(None, show, None, table, api_visibility="private", show_progress="hidden")  # when the page opens
