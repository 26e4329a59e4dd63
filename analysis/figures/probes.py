"""Plots of the accuracy of probes and of the importance of single words."""

from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.style import COLOURS, GREY, figure, looks


def accuracy(tables: Mapping[str, pd.DataFrame], *, dark: bool = False) -> go.Figure:
    """Plot the accuracy of each kind of probe with 95 % intervals; the dotted line is chance (50 %).

    Args:
        tables: name of a model -> table of `analysis.probes.counterfactuals.probe_accuracy`.
        dark: for a dark page.
    """
    plot = figure(dark=dark, title="Probes whose true caption scores higher than the edited one")
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
        plot.add_trace(points)
    kinds = next(iter(tables.values())).index
    plot.update_layout(height=160 + 34 * len(kinds), scattermode="group", scattergap=0.4)
    plot.add_vline(x=50, line={"color": GREY, "dash": "dot"})
    plot.update_xaxes(title_text="% of probes", range=[-2, 102], showgrid=True)
    plot.update_yaxes(categoryorder="array", categoryarray=kinds[::-1].tolist(), showgrid=False)
    return plot


def importance(table: pd.DataFrame, *, dark: bool = False) -> go.Figure:
    """Plot the drop of the score without each word of a query.

    Args:
        table: of `analysis.probes.word_importance.word_importance`.
        dark: for a dark page.
    """
    height = 120 + 18 * len(table)  # a row for each word, so that long queries stay readable
    plot = figure(dark=dark, title="Drop of the score without each word", height=height)
    raises = table["drop"] > 0
    bars = go.Bar(
        x=table["drop"], y=table.index, showlegend=False, orientation="h",
        marker={"color": np.where(raises, COLOURS[0], COLOURS[1])},
        customdata=table["word"].map(escape), hovertemplate="%{customdata}: %{x:.3f}<extra></extra>",
    )  # fmt: skip
    plot.add_trace(bars)
    plot.update_xaxes(title_text="cosine", showgrid=True)
    plot.update_yaxes(
        tickvals=table.index, ticktext=table["word"].map(escape), autorange="reversed", showgrid=False
    )
    return plot
