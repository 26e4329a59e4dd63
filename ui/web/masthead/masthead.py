"""The top of a page. Its content is fixed when the app starts; its script follows the address."""

from collections.abc import Iterable
from pathlib import Path

import gradio as gr

from ui.web import html
from ui.web.boundary.served import serve_file
from ui.web.galleries import Galleries
from ui.web.head import ICON
from ui.web.masthead.about import about
from ui.web.own.visitors import OWN

_JS = Path(__file__).with_name("masthead.js").read_text(encoding="utf-8")


def add_masthead(galleries: Galleries, pages: Iterable[str], page: str) -> None:
    """Add the component to the open Blocks.

    The gallery that a visitor has chosen is the parameter `g` of the address. The script changes it, and then
    triggers `popstate`, as Back does; so a page that Back restores also follows the choice. Links to other
    pages take the parameter along.

    Args:
        galleries: All galleries.
        pages: Titles of all pages; the first one is at the root.
        page: Title of this page.
    """
    paths = {title: f"./{'' if number == 0 else title.lower()}" for number, title in enumerate(pages)}
    chosen = {name: galleries.choice(name) for name in galleries.all_names}
    photos = next((name for name in galleries.names if not chosen[name].synthetic), "")
    gr.HTML(
        html.render(
            "masthead.html",
            icon=serve_file(ICON), paths=paths, page=page, sets=galleries.sets, photos=photos,
            **about(galleries),
        ),
        js_on_load=_JS,
        apply_default_css=False,
        elem_id="masthead",
        galleries=[
            {"name": name, "set": each.set, "model": each.model, "synthetic": each.synthetic}
            for name, each in chosen.items()
        ],
        photos=photos,
        own=OWN,
    )  # fmt: skip
