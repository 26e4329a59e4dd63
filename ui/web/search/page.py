"""The search page: query and picture in, pictures and captions out; every result starts another search."""

from pathlib import Path

import gradio as gr

from ui.web.galleries import Galleries
from ui.web.own.panel import own_panel
from ui.web.search.handlers import SearchHandlers
from ui.web.search.picture_box import BOXES, PLACEHOLDER, picture_box
from ui.web.search.why.sheet import why_sheet

COUNTS = (12, 24, 48)
"""Numbers of results to choose from; a link may have another one."""
_HERE = Path(__file__).parent
_SCRIPTS = (*BOXES, _HERE / "address.js", _HERE / "refine.js", _HERE / "truth.js")
_ADDRESS_JS = "\n".join(path.read_text(encoding="utf-8") for path in _SCRIPTS)


def search_page(galleries: Galleries) -> None:
    """Add the page's components and event handlers to the open Blocks.

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
        with gr.Column(scale=1, min_width=260):
            picture = picture_box(
                label="Search with a picture", sources=["upload", "clipboard", "webcam"],
                height=214, elem_id="picture", buttons=[], placeholder=PLACEHOLDER,
            )  # fmt: skip
    own_panel(galleries)
    status = gr.HTML(elem_id="status")
    results = gr.HTML(elem_id="results")
    why_sheet(galleries)
    address = gr.HTML(html_template="", js_on_load=_ADDRESS_JS, elem_id="address")

    address.search(
        handlers.show, [address, picture], [address, count, examples, status, results],
        js="() => window.pairscope.wanted()", trigger_mode="always_last", api_visibility="private",
        show_progress="hidden", concurrency_limit=4, concurrency_id="search",
    )  # fmt: skip
    # The server never sets the box: Gradio would make it anew for this visitor, without our `preprocess`.
    address.picture(None, None, picture, js="() => window.pairscope.picture()", api_visibility="private")
    count.input(None, count, None, js=_search("k"), api_visibility="private")
    picture.input(None, picture, None, js=_SEARCH_PICTURE, api_visibility="private")


def _search(parameter: str) -> str:
    """Return a script that searches with another value of a parameter of the address."""
    return f"(value) => {{ window.pairscope.search({{{parameter}: value}}); }}"


_SEARCH_PICTURE = "(picture) => { window.pairscope.choose(picture); }"
