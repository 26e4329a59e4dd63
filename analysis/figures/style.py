"""The look of all figures: the app's teal, orange and stone, light or dark, on whatever lies beneath."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

FONT = "ui-rounded, system-ui, sans-serif"
# Middle tones, which stand out from white and from near-black alike. Found by search: any two are at least 30
# apart in CIELAB to normal, deuteranope and protanope eyes. The shapes and dashes tell models apart without.
COLOURS = ("#0d9488", "#ea580c", "#344cf9", "#c02a33", "#2497fd", "#106a98")
GREY = "#78716c"
"""For what belongs to no model."""
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star", "cross")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


@dataclass(frozen=True)
class Look:
    """How one model is drawn in every figure."""

    colour: str
    symbol: str
    dash: str

    def faint(self, opacity: float = 0.18) -> str:
        """The colour for bands and areas."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red}, {green}, {blue}, {opacity})"


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each model, in this order; no two alike up to 42 models, all shapes different up to 7."""
    return {
        name: Look(COLOURS[i % len(COLOURS)], SYMBOLS[i % len(SYMBOLS)], DASHES[i % len(DASHES)])
        for i, name in enumerate(names)
    }


def figure(*, dark: bool = False, **layout: Any) -> go.Figure:
    """An empty figure in the house style; `layout` as in `go.Layout`."""
    return go.Figure(layout={"template": template(dark), **layout})


def template(dark: bool = False) -> go.layout.Template:
    """What every figure has: system fonts, a transparent ground, quiet grid lines."""
    ink, quiet, line, paper = (
        ("#e7e5e4", "#a8a29e", "#44403c", "#292524") if dark else ("#292524", "#57534e", "#e7e5e4", "#ffffff")
    )
    axis = {
        "gridcolor": line, "linecolor": line, "zeroline": False, "automargin": True,
        "title": {"font": {"color": quiet}, "standoff": 8}, "tickfont": {"color": quiet},
    }  # fmt: skip
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": ink},
            "title": {"font": {"size": 15}, "x": 0, "y": 1, "yanchor": "top", "pad": {"l": 8, "t": 10}},
            "paper_bgcolor": "rgba(0, 0, 0, 0)",
            "plot_bgcolor": "rgba(0, 0, 0, 0)",
            "colorway": COLOURS,
            "margin": {"l": 56, "r": 16, "t": 76, "b": 48},
            "xaxis": axis,
            "yaxis": axis,
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "hoverlabel": {"bgcolor": paper, "bordercolor": line, "font": {"family": FONT, "color": ink}},
            "modebar": {"bgcolor": "rgba(0, 0, 0, 0)", "color": quiet, "activecolor": COLOURS[0]},
        }
    )
