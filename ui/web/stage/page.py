"""The page "Stage": a Picturebook scene to edit, and captions that slide as the model sees the change."""

from pathlib import Path
from typing import Any

import gradio as gr

from ui.web import html
from ui.web.galleries import Galleries
from ui.web.stage.handlers import StageHandlers

_JS = "\n".join(
    Path(__file__).with_name(name).read_text(encoding="utf-8")
    for name in ("view.js", "dragging.js", "stage.js")
)


def stage_page(galleries: Galleries) -> None:
    """Add the page to the open Blocks. Its address, see `stage.js`, restores what it shows."""
    handlers = StageHandlers(galleries)

    def stage(request: Any) -> dict[str, Any]:  # Gradio marks the function, which it cannot do to a method
        return handlers.stage(request)

    gr.HTML(
        html_template=html.render("stage.html"),
        js_on_load=_JS,
        server_functions=[stage],
        elem_id="stage",
    )
