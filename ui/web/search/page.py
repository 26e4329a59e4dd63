"""The search page: query and picture in, pictures and captions out; every result starts another search."""

from abc import ABCMeta
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta

from ui.web.galleries import POLL_SECONDS, Galleries
from ui.web.html import CLICKS
from ui.web.search.handlers import EXAMPLES, SearchHandlers

COUNTS = [(f"{n} results", n) for n in (12, 24, 48)]

# Keeps the link that reproduces the shown search in the address bar.
SHOW_LINK = """() => {
  const link = document.querySelector('#status a.link');
  if (link) history.replaceState(null, '', link.getAttribute('href'));
}"""


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


def search_page(page: gr.Blocks, galleries: Galleries) -> None:
    """Add the page's components, event handlers and API endpoints to the open Blocks `page`."""
    handlers = SearchHandlers(galleries)
    with gr.Row(elem_id="search-form"):
        with gr.Column(scale=3, min_width=320):
            query = gr.Textbox(
                label="Search with words", placeholder="What should the picture show?", autofocus=True,
                elem_id="query", submit_btn="Search", max_length=10_000,
            )  # fmt: skip
            with gr.Row(elem_id="examples"):
                examples = [gr.Button(text, size="sm") for text in EXAMPLES]
                surprise = gr.Button("Surprise me", size="sm", variant="primary", elem_id="surprise")
            with gr.Row(elem_id="options"):
                count = gr.Radio(COUNTS, value=12, label="Results", container=False, elem_id="count")
                gallery = gr.Dropdown(
                    galleries.names,
                    value=galleries.names[0],
                    label="Gallery",
                    visible=len(galleries.names) > 1,
                    elem_id="gallery",
                )
        with gr.Column(scale=1, min_width=260):
            picture = picture_box(
                label="Search with a picture", sources=["upload", "clipboard", "webcam"],
                height=214, elem_id="picture", buttons=[],
            )  # fmt: skip
    status = gr.HTML(elem_id="status")
    results = gr.HTML(elem_id="results", js_on_load=CLICKS)
    timer = gr.Timer(POLL_SECONDS, active=False)
    outputs = [query, picture, gallery, status, results, timer]

    def connect(event: Any, handler: Callable[..., Any], inputs: list[Any]) -> None:
        done = event(
            handler, inputs, outputs, api_visibility="private", show_progress="minimal", concurrency_limit=4,
            concurrency_id="search",
        )  # fmt: skip
        done.then(None, js=SHOW_LINK, api_visibility="private")

    connect(query.submit, handlers.by_words, [query, count, gallery])
    for example in examples:
        connect(example.click, handlers.by_words, [example, count, gallery])
    connect(surprise.click, handlers.surprise, [count, gallery])
    connect(picture.input, handlers.by_picture, [picture, count, gallery])
    connect(results.select, handlers.by_click, [count, gallery])
    for option in (count, gallery):
        connect(option.input, handlers.repeat, [query, picture, count, gallery])
    connect(timer.tick, handlers.on_load, [count, gallery])
    connect(page.load, handlers.on_load, [count, gallery])
    _endpoints(handlers)


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
