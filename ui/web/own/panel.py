"""The panel of the search page on which visitors drop their own pictures."""

from pathlib import Path

import gradio as gr

from itr_core.pairs.caption_files import TABLES
from ui.web import html
from ui.web.galleries import Galleries
from ui.web.own.pictures import MOST_PICTURES
from ui.web.own.visitors import OWN

_SCRIPT = Path(__file__).with_name("own.js").read_text(encoding="utf-8")


def own_panel(galleries: Galleries) -> None:
    """Add the panel to the open Blocks."""
    gr.HTML(
        html_template=html.render("own.html", pictures=MOST_PICTURES, captions=TABLES), js_on_load=_SCRIPT,
        elem_id="own", own=OWN, first=galleries.names[0], most=MOST_PICTURES,
    )  # fmt: skip
