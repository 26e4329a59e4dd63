"""How often a true caption beats an edited one, and what single words do."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from PIL import Image
from plotly.subplots import make_subplots

from analysis.figures.style import COLOURS, GREY, figure, looks, template

_COLUMNS = 6


def accuracy(tables: Mapping[str, pd.DataFrame], *, dark: bool = False) -> go.Figure:
    """`probe_accuracy` of every model, by name, with 95 % intervals; the dotted line is chance."""
    drawn = figure(dark=dark, title="How often the true caption scores higher than the edited one")
    for name, look in looks(tables).items():
        table = 100 * tables[name][["accuracy", "low", "high"]]
        points = go.Scatter(
            x=table["accuracy"], y=table.index, name=name, mode="markers", orientation="h",
            marker={"symbol": look.symbol, "color": look.colour, "size": 11},
            error_x={
                "type": "data", "array": table["high"] - table["accuracy"], "color": look.colour,
                "arrayminus": table["accuracy"] - table["low"], "thickness": 1.5,
            },
            customdata=tables[name]["probes"], hovertemplate="%{y}: %{x:.1f} % of %{customdata} probes",
        )  # fmt: skip
        drawn.add_trace(points)
    kinds = next(iter(tables.values())).index
    drawn.update_layout(height=160 + 34 * len(kinds), scattermode="group", scattergap=0.4)
    drawn.add_vline(x=50, line={"color": GREY, "dash": "dot"})
    drawn.update_xaxes(title_text="% of probes", range=[-2, 102], showgrid=True)
    drawn.update_yaxes(categoryorder="array", categoryarray=kinds[::-1].tolist(), showgrid=False)
    return drawn


def importance(table: pd.DataFrame, *, dark: bool = False) -> go.Figure:
    """What each word of a query adds to the score: `analysis.probes.word_importance.word_importance`."""
    drawn = figure(dark=dark, title="What the score loses without a word", height=300)
    better = table["drop"] > 0
    bars = go.Bar(
        x=table.index, y=table["drop"], showlegend=False,
        marker={"color": np.where(better, COLOURS[0], COLOURS[1])},
        customdata=table["word"].map(escape), hovertemplate="%{customdata}: %{y:.3f}<extra></extra>",
    )  # fmt: skip
    drawn.add_trace(bars)
    drawn.update_xaxes(tickvals=table.index, ticktext=table["word"].map(escape))
    drawn.update_yaxes(title_text="cosine")
    return drawn


def word_patches(
    words: Sequence[str], maps: np.ndarray, picture: Image.Image, *, dark: bool = False
) -> go.Figure:
    """The picture once for every word, each place coloured by how well the word fits it.

    words, maps: `analysis.probes.word_importance.word_patch_map`. picture: as the model sees it, a square.
    """
    rows, side = -(-len(words) // _COLUMNS), maps.shape[1]
    titles = [escape(word) for word in words]
    drawn = make_subplots(
        rows, _COLUMNS, subplot_titles=titles, horizontal_spacing=0.01, vertical_spacing=0.2 / rows
    )
    source = _data_uri(picture)
    for place, (word, each) in enumerate(zip(titles, maps, strict=True)):
        row, col = place // _COLUMNS + 1, place % _COLUMNS + 1
        cells = go.Heatmap(
            z=each, coloraxis="coloraxis", opacity=0.6,
            hovertemplate=f"{word}: %{{z:.2f}}<extra></extra>",
        )  # fmt: skip
        drawn.add_trace(cells, row=row, col=col)
        drawn.add_layout_image(
            source=source, x=-0.5, y=-0.5, sizex=side, sizey=side, sizing="stretch", layer="below",
            xanchor="left", yanchor="top", row=row, col=col,
        )  # fmt: skip
        drawn.update_xaxes(visible=False, range=[-0.5, side - 0.5], row=row, col=col)
        drawn.update_yaxes(visible=False, range=[side - 0.5, -0.5], row=row, col=col)
    drawn.update_layout(
        template=template(dark), title="Where each word is seen", height=110 + 150 * rows,
        coloraxis={
            "colorscale": [(0, "rgb(0, 0, 0)"), (1, COLOURS[1])], "colorbar": {"title": "cosine"},
            "cmin": float(maps.min()), "cmax": float(maps.max()),
        },
    )  # fmt: skip
    return drawn


def _data_uri(picture: Image.Image, longest: int = 160) -> str:
    small = picture.convert("RGB")
    small.thumbnail((longest, longest))
    small.save(file := io.BytesIO(), "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
