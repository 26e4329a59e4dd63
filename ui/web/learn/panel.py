"""A panel of the Learn page, and components whose script is a JavaScript module."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import gradio as gr

from ui.web.boundary.served import serve_file
from ui.web.galleries import Galleries

LONGEST_TEXT = 1000
"""Characters of a text that a visitor sends, at most. Captions of Picturebook have up to 400."""
_START = """
import(new URL(props.module, document.baseURI)).then((module) => module.mount({element, props, server}));
"""

Group = Literal["Tools", "Lessons", "Measure and play"]
"""Headings of the list of panels, in order."""


class Panel(NamedTuple):
    """A tool, a lesson or a game. Its address is `/learn?open=NAME`.

    Attributes:
        name: Its name in the address, such as "matrix".
        title: Heading of the panel and of its card in the list.
        summary: A sentence for the card.
        group: Heading below which the card stands.
        add: Adds the components of the panel to the open Blocks.
        tools: Names of the tools that are shown below the panel.
    """

    name: str
    title: str
    summary: str
    group: Group
    add: Callable[[Galleries], None]
    tools: tuple[str, ...] = ()


def module(path: Path, template: str = "", **settings: Any) -> gr.HTML:
    """Return a component whose script is a module, which exports `mount({element, props, server})`.

    The modules of a folder import each other by relative addresses. Those of other folders than this one
    import the page's own module, `learn.js`, from the address `props.learn`.

    Args:
        path: The module.
        template: HTML of the component. Gradio pastes it into a script: text of galleries must not be in it.
        settings: Of `gr.HTML`; others are `props` of the script.
    """
    for each in path.parent.glob("*.js"):
        serve_file(each)
    learn = serve_file(Path(__file__).with_name("learn.js"))
    return gr.HTML(
        html_template=template, js_on_load=_START, module=serve_file(path), learn=learn, **settings
    )
