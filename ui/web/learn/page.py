"""The Learn page: a list of its panels, and the one that is open."""

from pathlib import Path
from typing import get_args

import gradio as gr

from ui.web import html
from ui.web.daily.panel import DAILY
from ui.web.galleries import Galleries
from ui.web.learn.matrix import MATRIX
from ui.web.learn.panel import Group, Panel, module
from ui.web.learn.report_card import REPORT_CARD
from ui.web.learn.train import TRAIN
from ui.web.lessons.panel import lesson_panels

PANELS: tuple[Panel, ...] = (MATRIX, TRAIN, *lesson_panels(), REPORT_CARD, DAILY)
"""All panels, in the order of the list."""


def learn_page(galleries: Galleries) -> None:
    """Add the list and all panels to the open Blocks; the browser shows what the address names."""
    groups = {group: [each for each in PANELS if each.group == group] for group in get_args(Group)}
    gr.HTML(html.render("learn.html", groups=groups), elem_id="learn-list")
    for panel in PANELS:
        with gr.Column(elem_id=f"learn-{panel.name}", elem_classes="learn-panel"):
            gr.HTML(html.render("learn_heading.html", panel=panel))
            panel.add(galleries)
    known = {panel.name: {"title": panel.title, "tools": panel.tools} for panel in PANELS}
    module(Path(__file__).with_name("learn.js"), panels=known, elem_id="learn-address")
