"""The embedding space in the plane: pictures and captions by shape, anything known of them by colour."""

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
"""How each modality is drawn, captions first, so that they lie beneath."""
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
    """A map of images and captions, as `analysis.gallery_analysis` returns it, with equal scales on both axes.

    Args:
        maps: by modality, "images" and "captions".
        text: what to show of each point when the pointer is on it.
        colour: of each point; numbers become a scale, strings one entry each in the legend. By default the
            modality has the colour, too.
        colour_title: what the colour tells.
        rows: which points to draw; all by default.
        query: (2,) where a query stands; drawn as a star.
        webgl: the browser's graphics card draws, for more than some 5,000 points.

    Every point's customdata is "images:ROW" or "captions:ROW".
    """
    drawn = figure(dark=dark, title=title, height=520, hovermode="closest", dragmode="pan")
    scatter = go.Scattergl if webgl else go.Scatter
    shown = [of for of in MARKS if of in maps]
    counts = Counter(str(value) for of in shown for value in colour[of]) if colour else Counter()
    kinds = [kind for kind, _ in counts.most_common()]
    for of in shown:
        chosen = rows[of] if rows else np.arange(len(maps[of].points))
        values = np.asarray(colour[of])[chosen] if colour else None
        for name, part, marker in _parts(of, values, kinds):
            at = chosen[part]
            trace = scatter(
                x=maps[of].points[at, 0], y=maps[of].points[at, 1], mode="markers", name=name,
                marker={**MARKS[of], "line": _EDGE if of == "images" else {"width": 0}, **marker},
                customdata=[f"{of}:{row}" for row in at],
                hovertext=[escape(text[of][row]) for row in at] if text else None,
                hovertemplate=f"%{{{'hovertext' if text else 'customdata'}}}<extra></extra>",
            )  # fmt: skip
            drawn.add_trace(trace)
    if query is not None:
        star = {"symbol": "star", "size": 18, "color": COLOURS[3], "line": {"width": 1.5, "color": "white"}}
        drawn.add_trace(scatter(x=query[:1], y=query[1:], mode="markers", name="query", marker=star))
    drawn.update_layout(
        legend={"itemsizing": "constant"},
        margin={"l": 8, "r": 8, "b": 8},
        coloraxis={"colorscale": "Viridis", "colorbar": {"title": colour_title, "thickness": 12}},
    )
    drawn.update_xaxes(visible=False)
    drawn.update_yaxes(visible=False, scaleanchor="x")
    return drawn


def _parts(
    of: str, values: np.ndarray | None, kinds: list[str]
) -> list[tuple[str, np.ndarray | slice, dict[str, Any]]]:
    """The traces of a modality: its name in the legend, which points, and their colour."""
    if values is None:
        return [(of, slice(None), {"color": COLOURS[list(MARKS).index(of)]})]
    if is_numeric_dtype(values):
        return [(of, slice(None), {"color": values, "coloraxis": "coloraxis"})]
    told, palette = values.astype(str), (GREY, *COLOURS)  # the commonest is what others stand out from
    return [
        (f"{kind}, {of}", np.flatnonzero(told == kind), {"color": palette[place % len(palette)]})
        for place, kind in enumerate(kinds)
        if (told == kind).any()
    ]
