"""Plot of a map of images and captions, with a symbol for each modality and a colour for any property."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from pandas.api.types import is_numeric_dtype

from analysis.figures.style import COLOURS, GREY, figure
from analysis.projection import Map

MARKS: dict[str, dict[str, Any]] = {
    "captions": {"symbol": "circle", "size": 4, "opacity": 0.55},
    "images": {"symbol": "diamond", "size": 7, "opacity": 0.9},
}
"""Modality -> its markers. Captions come first, so that images are drawn on top of them."""
NAMES = {"captions": "captions", "images": "pictures"}
"""Modality -> its name in the legend."""
_VARIANTS = ("", "-open", "-open-dot", "-dot")
"""Endings of symbols, for categories beyond the number of colours."""
_EDGE = {"width": 0.5, "color": "rgba(255, 255, 255, 0.6)"}


def embedding_map(
    maps: Mapping[str, Map],
    *,
    text: Mapping[str, Sequence[str]] | None = None,
    colour: Mapping[str, Sequence[Any] | np.ndarray] | None = None,
    colour_title: str = "",
    rows: Mapping[str, np.ndarray] | None = None,
    query: np.ndarray | None = None,
    webgl: bool = True,
    dark: bool = False,
    title: str = "",
) -> go.Figure:
    """Plot a map as `analysis.gallery_analysis` returns it, with equal scales on both axes.

    The customdata of each point is "images:ROW" or "captions:ROW".

    Args:
        maps: modality ("images", "captions") -> map.
        text: modality -> text of each point under the pointer.
        colour: modality -> value of each point. Numbers are coloured by a scale; strings get a legend entry
            each, with a colour of its own for the 7 most frequent and with hollow or dotted markers in the
            same colours for the 21 after them. By default, each modality has one colour.
        colour_title: title of the scale.
        rows: modality -> rows of the points to draw; all by default.
        query: (2,) place of a query, drawn as a star.
        webgl: draw on the graphics card, which more than about 5,000 points need.
        dark: for a dark page.
        title: of the plot.
    """
    plot = figure(dark=dark, title=title, height=520, hovermode="closest", dragmode="pan")
    scatter = go.Scattergl if webgl else go.Scatter
    modalities = [modality for modality in MARKS if modality in maps]
    counts = (
        Counter(str(value) for modality in modalities for value in colour[modality]) if colour else Counter()
    )
    categories = [category for category, _ in counts.most_common()]
    for modality in modalities:
        chosen = rows[modality] if rows else np.arange(len(maps[modality].points))
        values = np.asarray(colour[modality])[chosen] if colour else None
        for name, part, marker in _parts(modality, values, categories):
            at = chosen[part]
            points = maps[modality].points[at]
            trace = scatter(
                x=points[:, 0], y=points[:, 1], mode="markers", name=name,
                marker={**MARKS[modality], "line": _EDGE if modality == "images" else {"width": 0}, **marker},
                customdata=[f"{modality}:{row}" for row in at],
                hovertext=[escape(text[modality][row]) for row in at] if text else None,
                hovertemplate=f"%{{{'hovertext' if text else 'customdata'}}}<extra></extra>",
            )  # fmt: skip
            plot.add_trace(trace)
    if query is not None:
        star = {"symbol": "star", "size": 18, "color": COLOURS[3], "line": {"width": 1.5, "color": "white"}}
        plot.add_trace(scatter(x=query[:1], y=query[1:], mode="markers", name="query", marker=star))
    plot.update_layout(
        legend={"itemsizing": "constant"},
        margin={"l": 8, "r": 8, "b": 8},
        coloraxis={"colorscale": "Viridis", "colorbar": {"title": colour_title, "thickness": 12}},
    )
    plot.update_xaxes(visible=False)
    plot.update_yaxes(visible=False, scaleanchor="x")
    return plot


def _parts(
    modality: str, values: np.ndarray | None, categories: list[str]
) -> list[tuple[str, np.ndarray | slice, dict[str, Any]]]:
    """Return the traces of a modality: name in the legend, points, and marker colour."""
    if values is None:
        return [(NAMES[modality], slice(None), {"color": COLOURS[list(MARKS).index(modality)]})]
    if is_numeric_dtype(values):
        return [(NAMES[modality], slice(None), {"color": values, "coloraxis": "coloraxis"})]
    names = values.astype(str)
    return [
        (f"{category}, {NAMES[modality]}", np.flatnonzero(names == category), _marker(modality, index))
        for index, category in enumerate(categories)
        if (names == category).any()
    ]


def _marker(modality: str, index: int) -> dict[str, Any]:
    """Return colour and symbol of a category; grey for the most frequent one, 0."""
    palette = (GREY, *COLOURS)
    variant, colour = divmod(index, len(palette))
    symbol = MARKS[modality]["symbol"] + _VARIANTS[variant % len(_VARIANTS)]
    # Hollow markers need room for the hole.
    return {"color": palette[colour], "symbol": symbol, "size": MARKS[modality]["size"] + 2 * bool(variant)}
