"""The Compare page: one query in, the pictures of several models out, side by side."""

from pathlib import Path

import gradio as gr
from gradio.events import api

from ui.web.compare.endpoint import CompareEndpoint
from ui.web.compare.handlers import CompareHandlers
from ui.web.compare.noise import SETTINGS
from ui.web.endpoints import AT_ONCE
from ui.web.galleries import Galleries
from ui.web.search.picture_box import BOXES, PLACEHOLDER, picture_box

_HERE = Path(__file__).parent
_SCRIPTS = (*BOXES, _HERE / "votes.js", _HERE / "address.js")
_ADDRESS_JS = "\n".join(path.read_text(encoding="utf-8") for path in _SCRIPTS)


def compare_page(galleries: Galleries) -> None:
    """Add the page's components and event handlers to the open Blocks.

    The browser keeps the address of the comparison that is wanted (see `address.js`). One event answers it
    with all columns; a second one measures all captions, which takes longer the first time. The noise band is
    measured by an event of its own, so that measures of other models need not wait for it.
    """
    handlers = CompareHandlers(galleries, SETTINGS.seeds)
    with gr.Row(elem_id="search-form"):
        with gr.Column(scale=3, min_width=320):
            gr.Textbox(
                label="Compare models on these words", placeholder="What should the picture show?",
                elem_id="query", submit_btn="Compare", max_length=10_000,
            )  # fmt: skip
            models = gr.CheckboxGroup(
                [(label, name) for name, label in handlers.labels.items()], value=handlers.default(),
                label="Models", elem_id="models",
            )  # fmt: skip
            gr.HTML(html_template=_MODES, elem_id="modes")
        with gr.Column(scale=1, min_width=260):
            picture = picture_box(
                label="Compare with a picture", sources=["upload", "clipboard"],
                height=214, elem_id="picture", buttons=[], placeholder=PLACEHOLDER,
            )  # fmt: skip
    status = gr.HTML(elem_id="status")
    results = gr.HTML(elem_id="results")
    progress = gr.HTML(elem_id="progress", elem_classes="optional")
    band = gr.HTML(elem_id="band", elem_classes="optional")
    telling = gr.HTML(elem_id="telling")
    measures = gr.HTML(elem_id="measures")
    address = gr.HTML(html_template="", js_on_load=_ADDRESS_JS, elem_id="address")

    address.search(
        handlers.show, [address, picture], [address, models, status, results],
        js="() => window.pairscope.wanted()", trigger_mode="always_last", api_visibility="private",
        show_progress="hidden", concurrency_limit=4, concurrency_id="search",
    )  # fmt: skip
    address.measure(
        handlers.measure, address, [progress, telling, measures], js="() => [window.pairscope.measuring()]",
        trigger_mode="always_last", api_visibility="private", show_progress="hidden", concurrency_limit=None,
    ).then(
        handlers.measure_noise, address, band, js="() => [window.pairscope.measuring()]",
        trigger_mode="always_last", api_visibility="private", show_progress="hidden", concurrency_limit=None,
    ).then(None, js="() => window.pairscope.measured()", api_visibility="private")  # fmt: skip
    # The server never sets the box: see `ui.web.search.page`.
    address.picture(None, None, picture, js="() => window.pairscope.picture()", api_visibility="private")
    models.input(None, models, None, js="(m) => { window.pairscope.search({m}); }", api_visibility="private")
    api(CompareEndpoint(galleries, SETTINGS.seeds, handlers.default()).compare, concurrency_limit=AT_ONCE)
    picture.input(
        None, picture, None, js="(picture) => { window.pairscope.choose(picture); }", api_visibility="private"
    )


_MODES = """
<p><button type="button" data-mode="blind">Blind comparison</button>
<button type="button" data-mode="open" hidden>Show names</button>
<button type="button" data-mode="next" hidden>Next blind query</button>
<button type="button" data-mode="votes" hidden>Your votes as CSV</button>
<span id="tally" role="status"></span></p>
"""
