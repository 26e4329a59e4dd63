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
    return _figure(tables, "bucket", "true_images", k, title, "true of %{y:.1f} pictures", dark)


def truncated(tables: Mapping[str, pd.DataFrame], k: int = 1, *, dark: bool = False) -> go.Figure:
    """Plot T2I R@k of each model for the first words of every caption.

    Args:
        tables: name of a model -> table of `analysis.query_length.truncated`.
        k: 1, 5 or 10.
        dark: for a dark page.
    """
    title = f"T2I R@{k} with the first words of every caption"
    return _figure(
        tables, "words", "sharing", k, title, "captions of %{y:.1f} pictures begin like this", dark
    )


def _figure(
    tables: Mapping[str, pd.DataFrame], x: str, images: str, k: int, title: str, hover: str, dark: bool
) -> go.Figure:
    """Recall with 95 % bands; below, the mean number of matching images, if known, and of queries.

    Each point of a recall curve has the customdata [name, low, high, median rank].
    """
    known = any(table[images].notna().any() for table in tables.values())
    heights = [0.62, 0.19, 0.19] if known else [0.75, 0.25]
    plot = make_subplots(
        rows=len(heights), cols=1, shared_xaxes=True, row_heights=heights, vertical_spacing=0.05
    )
    for name, look in looks(tables).items():
        for trace in _curve(tables[name], x, k, name, look):
            plot.add_trace(trace, row=1, col=1)
    plot.update_yaxes(title_text=f"R@{k}, %", range=[0, 102], row=1, col=1)
    for name, look in _below(tables, [x, images, "queries"]).items():
        table = tables[name]
        if table[images].notna().any():
            line = go.Scatter(
                x=table[x], y=table[images], name=name, legendgroup=name, showlegend=False,
                mode="lines+markers", line={"color": look.colour, "dash": look.dash},
                marker={"symbol": look.symbol, "size": 8}, hovertemplate=hover,
            )  # fmt: skip
            plot.add_trace(line, row=2, col=1)
        bars = go.Bar(
            x=table[x], y=table["queries"], name=name, legendgroup=name, showlegend=False,
            marker={"color": look.colour, "opacity": 0.5}, hovertemplate="%{y} queries",
        )  # fmt: skip
        plot.add_trace(bars, row=len(heights), col=1)
    if known:
        plot.update_yaxes(title_text="pictures", type="log", dtick=1, row=2, col=1)
    plot.update_yaxes(title_text="queries", row=len(heights), col=1)
    plot.update_layout(template=template(dark), title=title, height=520, hovermode="x unified")
    plot.update_xaxes(title_text="words in the query", row=len(heights), col=1)
    if x == "bucket":  # galleries may have different buckets
        buckets = {bucket for table in tables.values() for bucket in table[x]}
        order = sorted(buckets, key=lambda bucket: [int(words) for words in re.findall(r"\d+", bucket)])
        plot.update_xaxes(type="category", categoryorder="array", categoryarray=order)
    return plot


def _below(tables: Mapping[str, pd.DataFrame], columns: list[str]) -> dict[str, Look]:
    """Return the style of each model in the lower panels; models with the same queries share grey."""
    first, *others = (table[columns] for table in tables.values())
    if all(first.equals(other) for other in others):
        return {next(iter(tables)): Look(GREY, "circle-open", "solid")}
    return looks(tables)


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
        customdata=[[name, *row] for row in table[[f"r{k}_low", f"r{k}_high", "median_rank"]].to_numpy()],
        hovertemplate="%{y:.1f} % [%{customdata[1]:.1f}, %{customdata[2]:.1f}], "
        "median rank %{customdata[3]:.0f}",
    )  # fmt: skip
    return band, curve
