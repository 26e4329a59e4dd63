"""The search page: query and picture in, pictures and captions out; every result starts another search."""

from abc import ABCMeta
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta

from ui.web.galleries import Galleries
from ui.web.search.handlers import SearchHandlers

COUNTS = (12, 24, 48)
"""Numbers of results to choose from; a link may have another one."""
_ADDRESS_JS = Path(__file__).with_name("address.js").read_text(encoding="utf-8")


def _key(_: gr.Image, upload: Any) -> str | None:
    return upload and (upload.path or "")


def _shown(_: gr.Image, url: str | None) -> dict[str, str] | None:
    return {"path": url, "url": url} if url else None  # without the marker of a file, which Gradio copies


# Not by a class statement, at which Gradio writes a stub file next to this one. Not by attributes of an
# object either, because Gradio makes a new object of the same class when an event updates it.
_PictureBox = ABCMeta.__new__(
    ComponentMeta,
    "PictureBox",
    (gr.Image,),
    {"is_template": True, "preprocess": _key, "postprocess": _shown},
)


def picture_box(**settings: Any) -> gr.Image:
    """Return an image input whose value is the key of an upload, or the address of a thumbnail.

    Gradio neither opens nor copies a file for it. `ui.web.boundary.uploads` reads the upload, and
    `itr_core.pairs.decoding` decodes it, with limits on size and formats.
    """
    return _PictureBox(type="filepath", **settings)


def search_page(galleries: Galleries) -> None:
    """Add the page's components, event handlers and API endpoints to the open Blocks.

    The browser keeps the address of the search that is wanted (see `address.js`). One event answers it, so
    that of several searches the last one is shown.
    """
    handlers = SearchHandlers(galleries)
    with gr.Row(elem_id="search-form"):
        with gr.Column(scale=3, min_width=320):
            gr.Textbox(
                label="Search with words", placeholder="What should the picture show?", autofocus=True,
                elem_id="query", submit_btn="Search", max_length=10_000,
            )  # fmt: skip
            examples = gr.HTML(elem_id="examples")
            with gr.Row(elem_id="options"):
                count = gr.Radio(
                    [(str(n), n) for n in COUNTS], label="Results", container=False, elem_id="count"
                )
                gallery = gr.Dropdown(
                    galleries.names,
                    label="Gallery",
                    container=False,
                    visible=len(galleries.names) > 1,
                    elem_id="gallery",
                )
        with gr.Column(scale=1, min_width=260):
            picture = picture_box(
                label="Search with a picture", sources=["upload", "clipboard", "webcam"],
                height=214, elem_id="picture", buttons=[],
            )  # fmt: skip
    status = gr.HTML(elem_id="status")
    results = gr.HTML(elem_id="results")
    address = gr.HTML(html_template="", js_on_load=_ADDRESS_JS, elem_id="address")

    address.search(
        handlers.show, [address, picture], [address, count, gallery, examples, status, results],
        js="() => window.pairscope.wanted()", trigger_mode="always_last", api_visibility="private",
        show_progress="minimal", concurrency_limit=4, concurrency_id="search",
    )  # fmt: skip
    # The server never sets the box: Gradio would make it anew for this visitor, without our `preprocess`.
    address.picture(None, None, picture, js="() => window.pairscope.picture()", api_visibility="private")
    count.input(None, count, None, js=_search("k"), api_visibility="private")
    gallery.input(None, gallery, None, js=_search("g"), api_visibility="private")
    picture.input(None, picture, None, js=_SEARCH_PICTURE, api_visibility="private")
    _endpoints(handlers)


def _search(parameter: str) -> str:
    """Return a script that searches with another value of a parameter of the address."""
    return f"(value) => {{ window.pairscope.search({{{parameter}: value}}); }}"


_SEARCH_PICTURE = "(picture) => { window.pairscope.choose(picture); }"


def _endpoints(handlers: SearchHandlers) -> None:
    """Add `/search_text` and `/search_image`: the same search over HTTP, gradio_client and MCP."""
    with gr.Row(visible=False):
        query, image = gr.Textbox(), picture_box()
        k, gallery, hits = gr.Number(10, precision=0), gr.Textbox(), gr.JSON()
        gr.Button().click(
            handlers.search_text, [query, k, gallery], hits, api_name="search_text", concurrency_limit=4
        )
        gr.Button().click(
            handlers.search_image, [image, k, gallery], hits, api_name="search_image", concurrency_limit=4
        )
