"""Common style of all plots, for light and dark pages."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

FONT = "ui-rounded, system-ui, sans-serif"
# Middle tones, visible on white and on near-black. Any two differ by at least 28 in CIELAB for normal,
# deuteranope and protanope vision. Symbols and dashes distinguish models without colour.
COLOURS = ("#0d9488", "#ea580c", "#344cf9", "#c02a33", "#2497fd", "#106a98")
GREY = "#78716c"
"""For elements that belong to no model."""
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star", "cross")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


@dataclass(frozen=True)
class Look:
    """Style of one model in every plot."""

    colour: str
    symbol: str
    dash: str

    def faint(self, opacity: float = 0.18) -> str:
        """Return the colour with an opacity in [0, 1], for bands and areas."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red}, {green}, {blue}, {opacity})"


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return a style per model. Up to 42 styles differ in colour or symbol, up to 7 in the symbol."""
    return {
        name: Look(COLOURS[i % len(COLOURS)], SYMBOLS[i % len(SYMBOLS)], DASHES[i % len(DASHES)])
        for i, name in enumerate(names)
    }


def figure(*, dark: bool = False, **layout: Any) -> go.Figure:
    """Return an empty plot in the common style, with `layout` as in `go.Layout`."""
    return go.Figure(layout={"template": template(dark), **layout})


def template(dark: bool = False) -> go.layout.Template:
    """Return the template of all plots: system fonts, transparent background, light grid lines."""
    text, quiet, line, paper = (
        ("#e7e5e4", "#a8a29e", "#44403c", "#292524") if dark else ("#292524", "#57534e", "#e7e5e4", "#ffffff")
    )
    axis = {
        "gridcolor": line, "linecolor": line, "zeroline": False, "automargin": True,
        "title": {"font": {"color": quiet}, "standoff": 8}, "tickfont": {"color": quiet},
    }  # fmt: skip
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": text},
            "title": {"font": {"size": 15}, "x": 0, "y": 1, "yanchor": "top", "pad": {"l": 8, "t": 10}},
            "paper_bgcolor": "rgba(0, 0, 0, 0)",
            "plot_bgcolor": "rgba(0, 0, 0, 0)",
            "colorway": COLOURS,
            "margin": {"l": 56, "r": 16, "t": 76, "b": 48},
            "xaxis": axis,
            "yaxis": axis,
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "hoverlabel": {"bgcolor": paper, "bordercolor": line, "font": {"family": FONT, "color": text}},
            "modebar": {"bgcolor": "rgba(0, 0, 0, 0)", "color": quiet, "activecolor": COLOURS[0]},
        }
    )
