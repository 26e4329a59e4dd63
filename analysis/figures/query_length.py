"""Recall against the length of a query, and why short ones are hard: they are true of many images."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.figures.style import GREY, Look, looks, template


def by_length(tables: Mapping[str, pd.DataFrame], k: int = 1, *, dark: bool = False) -> go.Figure:
    """R@k of each model, by name, in the buckets of `analysis.query_length.by_length`."""
    title = f"Does a query find its image? T2I R@{k} by number of words"
    return _figure(tables, "bucket", "true_images", k, title, "true of %{y:.1f} images", dark)


def truncated(tables: Mapping[str, pd.DataFrame], k: int = 1, *, dark: bool = False) -> go.Figure:
    """R@k of each model, by name, for the first words of every caption, `analysis.query_length.truncated`."""
    title = f"The first words of every caption: T2I R@{k}"
    return _figure(tables, "words", "sharing", k, title, "captions of %{y:.1f} images begin so", dark)


def _figure(
    tables: Mapping[str, pd.DataFrame], x: str, images: str, k: int, title: str, saying: str, dark: bool
) -> go.Figure:
    """Recall with its 95 % bands; beneath, how many images fit such a query, where known, and the queries."""
    first = next(iter(tables.values()))  # the queries are the same for every model
    known = bool(first[images].notna().any())
    heights = [0.62, 0.19, 0.19] if known else [0.75, 0.25]
    drawn = make_subplots(
        rows=len(heights), cols=1, shared_xaxes=True, row_heights=heights, vertical_spacing=0.05
    )
    for name, look in looks(tables).items():
        for trace in _curve(tables[name], x, k, name, look):
            drawn.add_trace(trace, row=1, col=1)
    drawn.update_yaxes(title_text=f"R@{k}, %", range=[0, 102], row=1, col=1)
    if known:
        line = go.Scatter(
            x=first[x], y=first[images], showlegend=False, mode="lines+markers", line={"color": GREY},
            marker={"symbol": "circle-open", "size": 8}, hovertemplate=saying + "<extra></extra>",
        )  # fmt: skip
        drawn.add_trace(line, row=2, col=1)
        drawn.update_yaxes(title_text=images.replace("_", " "), type="log", dtick=1, row=2, col=1)
    bars = go.Bar(
        x=first[x], y=first["queries"], showlegend=False, marker={"color": GREY, "opacity": 0.5},
        hovertemplate="%{y} queries<extra></extra>",
    )  # fmt: skip
    drawn.add_trace(bars, row=len(heights), col=1)
    drawn.update_yaxes(title_text="queries", row=len(heights), col=1)
    drawn.update_layout(template=template(dark), title=title, height=520, hovermode="x unified")
    drawn.update_xaxes(title_text="words in the query", row=len(heights), col=1)
    if x == "bucket":
        drawn.update_xaxes(type="category")
    return drawn


def _curve(table: pd.DataFrame, x: str, k: int, name: str, look: Look) -> tuple[go.Scatter, go.Scatter]:
    around = pd.concat([table, table[::-1]])
    edge = pd.concat([table[f"r{k}_high"], table[f"r{k}_low"][::-1]])
    band = go.Scatter(
        x=around[x], y=edge, fill="toself", fillcolor=look.faint(), line={"width": 0}, mode="lines",
        legendgroup=name, showlegend=False, hoverinfo="skip",
    )  # fmt: skip
    curve = go.Scatter(
        x=table[x], y=table[f"r{k}"], name=name, legendgroup=name, mode="lines+markers",
        line={"color": look.colour, "dash": look.dash}, marker={"symbol": look.symbol, "size": 9},
        customdata=table[[f"r{k}_low", f"r{k}_high", "median_rank"]],
        hovertemplate="%{y:.1f} % [%{customdata[0]:.1f}, %{customdata[1]:.1f}], "
        "median rank %{customdata[2]:.0f}",
    )  # fmt: skip
    return band, curve
