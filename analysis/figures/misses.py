"""Why queries were not answered right, and what is taken for what."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.figures.style import figure, looks, template
from analysis.misses.causes import ALL_CAUSES, shares

WAYS = {"t2i": "T2I", "i2t": "I2T"}
_MOST = 15  # rows and columns of a confusion table that can be read


def causes(tables: Mapping[str, pd.DataFrame], *, dark: bool = False) -> go.Figure:
    """The share of each cause among the `misses` of every model, by name, both ways side by side.

    A bar is known by its way and cause: "t2i hub".
    """
    drawn = make_subplots(rows=1, cols=2, shared_yaxes=True, subplot_titles=list(WAYS.values()))
    for name, look in looks(tables).items():
        for column, direction in enumerate(WAYS, 1):
            count = (tables[name]["direction"] == direction).sum()
            bars = go.Bar(
                y=ALL_CAUSES, x=100 * shares(tables[name])[direction], name=name, orientation="h",
                marker={"color": look.colour}, legendgroup=name, showlegend=column == 1,
                customdata=[f"{direction} {cause}" for cause in ALL_CAUSES],
                hovertemplate=f"%{{y}}: %{{x:.1f}} % of {count} misses",
            )  # fmt: skip
            drawn.add_trace(bars, row=1, col=column)
    height = 160 + 14 * len(ALL_CAUSES) * (1 + len(tables))
    drawn.update_layout(template=template(dark), title="Causes of misses at rank 1, in %", height=height)
    drawn.update_layout(legend={"y": -0.12, "yanchor": "top"}, showlegend=len(tables) > 1)
    drawn.update_xaxes(showgrid=True, matches="x")
    drawn.update_yaxes(autorange="reversed", showgrid=False)
    return drawn


def confusion(table: pd.DataFrame, concept: str, *, dark: bool = False) -> go.Figure:
    """What captions say against what pictures show, of one concept of `analysis.misses.causes.confusion`.

    The words that take part in most misses, 15 a side at most.
    """
    of_it = table[table["concept"] == concept]
    counts = of_it.pivot_table(
        index="captioned", columns="depicted", values="misses", aggfunc="sum", fill_value=0
    )
    captioned = counts.sum(axis=1).nlargest(_MOST).index
    depicted = counts.sum(axis=0).nlargest(_MOST).index
    counts = counts.loc[captioned, depicted]
    counts = counts.loc[counts.any(axis=1), counts.any(axis=0)]
    drawn = figure(dark=dark, title=f"What is taken for what: {concept}", height=180 + 24 * len(counts))
    (look,) = looks([concept]).values()
    cells = go.Heatmap(
        z=counts.to_numpy(), x=counts.columns, y=counts.index,
        colorscale=[(0, look.faint(0)), (1, look.colour)],
        text=counts.astype(str).replace("0", "").to_numpy(), texttemplate="%{text}", showscale=False,
        hovertemplate="said %{y}, shown %{x}: %{z} misses<extra></extra>", xgap=1, ygap=1,
    )  # fmt: skip
    drawn.add_trace(cells)
    drawn.update_xaxes(title_text="the picture shows", type="category", showgrid=False)
    drawn.update_yaxes(title_text="the caption says", type="category", autorange="reversed", showgrid=False)
    return drawn
