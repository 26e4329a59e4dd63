"""Plots of recall by query length, and of the number of images that queries of each length are true of."""

import re
from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.figures.style import GREY, Look, looks, template


def by_length(tables: Mapping[str, pd.DataFrame], k: int = 1, *, dark: bool = False) -> go.Figure:
    """Plot T2I R@k of each model by the number of words of the caption.

    Args:
        tables: name of a model -> table of `analysis.query_length.by_length`.
        k: 1, 5 or 10.
        dark: for a dark page.
    """
    title = f"T2I R@{k} by number of words"
    return _figure(tables, "bucket", "true_images", k, title, "true of %{y:.1f} images", dark)


def truncated(tables: Mapping[str, pd.DataFrame], k: int = 1, *, dark: bool = False) -> go.Figure:
    """Plot T2I R@k of each model for the first words of every caption.

    Args:
        tables: name of a model -> table of `analysis.query_length.truncated`.
        k: 1, 5 or 10.
        dark: for a dark page.
    """
    title = f"T2I R@{k} with the first words of every caption"
    return _figure(tables, "words", "sharing", k, title, "captions of %{y:.1f} images begin like this", dark)


def _figure(
    tables: Mapping[str, pd.DataFrame], x: str, images: str, k: int, title: str, hover: str, dark: bool
) -> go.Figure:
    """Recall with 95 % bands; below, the mean number of matching images, if known, and of queries."""
    first = next(iter(tables.values()))  # the queries are the same for every model
    known = bool(first[images].notna().any())
    heights = [0.62, 0.19, 0.19] if known else [0.75, 0.25]
    plot = make_subplots(
        rows=len(heights), cols=1, shared_xaxes=True, row_heights=heights, vertical_spacing=0.05
    )
    for name, look in looks(tables).items():
        for trace in _curve(tables[name], x, k, name, look):
            plot.add_trace(trace, row=1, col=1)
    plot.update_yaxes(title_text=f"R@{k}, %", range=[0, 102], row=1, col=1)
    if known:
        line = go.Scatter(
            x=first[x], y=first[images], showlegend=False, mode="lines+markers", line={"color": GREY},
            marker={"symbol": "circle-open", "size": 8}, hovertemplate=hover + "<extra></extra>",
        )  # fmt: skip
        plot.add_trace(line, row=2, col=1)
        plot.update_yaxes(title_text=images.replace("_", " "), type="log", dtick=1, row=2, col=1)
    bars = go.Bar(
        x=first[x], y=first["queries"], showlegend=False, marker={"color": GREY, "opacity": 0.5},
        hovertemplate="%{y} queries<extra></extra>",
    )  # fmt: skip
    plot.add_trace(bars, row=len(heights), col=1)
    plot.update_yaxes(title_text="queries", row=len(heights), col=1)
    plot.update_layout(template=template(dark), title=title, height=520, hovermode="x unified")
    plot.update_xaxes(title_text="words in the query", row=len(heights), col=1)
    if x == "bucket":  # galleries may have different buckets
        buckets = {bucket for table in tables.values() for bucket in table[x]}
        order = sorted(buckets, key=lambda bucket: [int(words) for words in re.findall(r"\d+", bucket)])
        plot.update_xaxes(type="category", categoryorder="array", categoryarray=order)
    return plot


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
