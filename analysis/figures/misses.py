"""Plots of the causes of misses and of confused words."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.figures.style import figure, looks, template
from analysis.misses.causes import ALL_CAUSES, shares

DIRECTIONS = {"t2i": "T2I", "i2t": "I2T"}
_LABELS = ["also correct" if cause == "false negative" else cause for cause in ALL_CAUSES]
_MAX_WORDS = 15
"""Most rows, and most columns, of a readable confusion table."""


def causes(tables: Mapping[str, pd.DataFrame], *, dark: bool = False) -> go.Figure:
    """Plot the share of each cause among the misses of each model, T2I and I2T side by side.

    The customdata of each bar is its direction and cause: "t2i hub".

    Args:
        tables: name of a model -> table of `analysis.misses.causes.misses`.
        dark: for a dark page.
    """
    plot = make_subplots(rows=1, cols=2, shared_yaxes=True, subplot_titles=list(DIRECTIONS.values()))
    for name, look in looks(tables).items():
        for column, direction in enumerate(DIRECTIONS, 1):
            count = (tables[name]["direction"] == direction).sum()
            bars = go.Bar(
                y=ALL_CAUSES, x=100 * shares(tables[name])[direction], name=name, orientation="h",
                marker={"color": look.colour}, legendgroup=name, showlegend=column == 1,
                customdata=[f"{direction} {cause}" for cause in ALL_CAUSES],
                hovertemplate=f"%{{y}}: %{{x:.1f}} % of {count} misses",
            )  # fmt: skip
            plot.add_trace(bars, row=1, col=column)
    height = 160 + 14 * len(ALL_CAUSES) * (1 + len(tables))
    plot.update_layout(template=template(dark), title="Causes of misses at rank 1, in %", height=height)
    plot.update_layout(legend={"y": -0.12, "yanchor": "top"}, showlegend=len(tables) > 1)
    plot.update_xaxes(showgrid=True, matches="x")
    plot.update_yaxes(autorange="reversed", showgrid=False, tickvals=ALL_CAUSES, ticktext=_LABELS)
    return plot


def confusion(table: pd.DataFrame, concept: str, *, dark: bool = False) -> go.Figure:
    """Plot how often a word of a caption is confused with a word for the image, for one concept.

    At most the 15 words of each side with most misses are shown.

    Args:
        table: of `analysis.misses.causes.confusion`.
        concept: one of its concepts, such as "colour".
        dark: for a dark page.
    """
    rows = table[table["concept"] == concept]
    counts = rows.pivot_table(
        index="captioned", columns="depicted", values="misses", aggfunc="sum", fill_value=0
    )
    captioned = counts.sum(axis=1).nlargest(_MAX_WORDS).index
    depicted = counts.sum(axis=0).nlargest(_MAX_WORDS).index
    counts = counts.loc[captioned, depicted]
    counts = counts.loc[counts.any(axis=1), counts.any(axis=0)]
    plot = figure(dark=dark, title=f"Confusions: {concept}", height=180 + 24 * len(counts))
    (look,) = looks([concept]).values()
    cells = go.Heatmap(
        z=counts.to_numpy(), x=counts.columns, y=counts.index,
        colorscale=[(0, look.faint(0)), (1, look.colour)],
        text=counts.astype(str).replace("0", "").to_numpy(), texttemplate="%{text}", showscale=False,
        hovertemplate="caption %{y}, picture %{x}: %{z} misses<extra></extra>", xgap=1, ygap=1,
    )  # fmt: skip
    plot.add_trace(cells)
    plot.update_xaxes(title_text="picture", type="category", showgrid=False)
    plot.update_yaxes(title_text="caption", type="category", autorange="reversed", showgrid=False)
    return plot
