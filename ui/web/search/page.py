"""The search page: words to pictures, a picture to words, and one more click from any result."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from ui.web.galleries import Galleries
from ui.web.html import CLICKS
from ui.web.search.handlers import EXAMPLES, SearchHandlers

COUNTS = [(f"{n} results", n) for n in (12, 24, 48)]

# The address bar always holds the link that reproduces what the page shows.
SHOW_LINK = """() => {
  const link = document.querySelector('#status a.link');
  if (link) history.replaceState(null, '', link.getAttribute('href'));
}"""


def picture_box(**settings: Any) -> gr.Image:
    """Gradio's image box, handing over the path of the upload unopened: decoding safely is the core's job."""
    box = gr.Image(type="filepath", **settings)
    # Set on the object: for a subclass Gradio would write a stub file beside this one.
    setattr(box, "preprocess", lambda upload: upload and upload.path)  # noqa: B010
    return box


def search_page(page: gr.Blocks, galleries: Galleries) -> None:
    """Lay the page out in `page`, the Blocks at work; wire it to `galleries`; add the endpoints for programs."""
    answers = SearchHandlers(galleries)
    with gr.Row(elem_id="ask"):
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
                label="or with a picture", sources=["upload", "clipboard", "webcam"],
                height=214, elem_id="picture", buttons=[],
            )  # fmt: skip
    status = gr.HTML(elem_id="status")
    results = gr.HTML(elem_id="results", js_on_load=CLICKS)
    tick = gr.Timer(0.7, active=False)
    outputs = [query, picture, gallery, status, results, tick]

    def wire(event: Any, answer: Callable[..., Any], inputs: list[Any]) -> None:
        done = event(
            answer, inputs, outputs, api_visibility="private", show_progress="minimal", concurrency_limit=4,
            concurrency_id="search",
        )  # fmt: skip
        done.then(None, js=SHOW_LINK, api_visibility="private")

    wire(query.submit, answers.by_words, [query, count, gallery])
    for example in examples:
        wire(example.click, answers.by_words, [example, count, gallery])
    wire(surprise.click, answers.surprise, [count, gallery])
    wire(picture.input, answers.by_picture, [picture, count, gallery])
    wire(results.select, answers.by_click, [count, gallery])
    for option in (count, gallery):
        wire(option.input, answers.again, [query, picture, count, gallery])
    wire(tick.tick, answers.on_load, [count, gallery])
    wire(page.load, answers.on_load, [count, gallery])
    _endpoints(answers)


def _endpoints(answers: SearchHandlers) -> None:
    """`/search_text` and `/search_image`: the same search for programs, over HTTP, gradio_client and MCP."""
    with gr.Row(visible=False):
        query, image = gr.Textbox(), picture_box()
        k, gallery, hits = gr.Number(10, precision=0), gr.Textbox(), gr.JSON()
        gr.Button().click(
            answers.search_text, [query, k, gallery], hits, api_name="search_text", concurrency_limit=4
        )
        gr.Button().click(
            answers.search_image, [image, k, gallery], hits, api_name="search_image", concurrency_limit=4
        )
