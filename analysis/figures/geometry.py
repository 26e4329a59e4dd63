"""Plots of alignment against uniformity and of the cosines of pairs and non-pairs."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.figures.style import GREY, figure, looks, template


def plane(
    tables: Mapping[str, pd.DataFrame], uniformity: str = "uniformity_joint", *, dark: bool = False
) -> go.Figure:
    """Plot alignment against uniformity of each model, with 95 % intervals; lower is better for both.

    Wang & Isola, arXiv:2005.10242, Fig. 7.

    Args:
        tables: name of a model -> table of `analysis.geometry.measures.geometry`.
        uniformity: row of the horizontal axis.
        dark: for a dark page.
    """
    plot = figure(dark=dark, title="Alignment and uniformity", height=420)
    for name, look in looks(tables).items():
        x, y = (tables[name].T[row] for row in (uniformity, "alignment"))
        point = go.Scatter(
            x=[x.value], y=[y.value], name=name, mode="markers",
            marker={"symbol": look.symbol, "color": look.colour, "size": 13},
            error_x=_whiskers(x, look.colour), error_y=_whiskers(y, look.colour),
            hovertemplate=f"uniformity %{{x:.3f}} [{x.low:.3f}, {x.high:.3f}]<br>"
            f"alignment %{{y:.3f}} [{y.low:.3f}, {y.high:.3f}]",
        )  # fmt: skip
        plot.add_trace(point)
    plot.update_xaxes(title_text="uniformity (lower is better)", showgrid=True)
    plot.update_yaxes(title_text="alignment (lower is better)")
    plot.add_annotation(
        text="better", xref="paper", yref="paper", x=0.01, y=0.02, ax=46, ay=-34, showarrow=True, arrowhead=2,
        arrowcolor=GREY, font={"color": GREY}, xanchor="left", yanchor="bottom",
    )  # fmt: skip
    return plot


def similarities(tables: Mapping[str, pd.DataFrame], *, dark: bool = False) -> go.Figure:
    """Plot the cosines of pairs and non-pairs, one panel per model.

    Args:
        tables: name of a model -> table of `analysis.geometry.measures.similarity_histograms`.
        dark: for a dark page.
    """
    plot = make_subplots(rows=len(tables), cols=1, shared_xaxes=True, subplot_titles=list(tables))
    pair, other = looks(("pairs", "non-pairs")).values()
    for row, table in enumerate(tables.values(), 1):
        middle = (table["left"] + table["right"]) / 2
        for name, column, look in (("non-pairs", "negative", other), ("pairs", "positive", pair)):
            area = go.Scatter(
                x=middle, y=table[column], name=name, legendgroup=name, showlegend=row == 1, mode="lines",
                line={"color": look.colour, "dash": look.dash, "shape": "hvh"}, fill="tozeroy",
                fillcolor=look.faint(), hovertemplate="cosine %{x:.2f}, density %{y:.2f}",
            )  # fmt: skip
            plot.add_trace(area, row=row, col=1)
    area_height = 36 + 180 * len(tables)
    plot.update_layout(
        template=template(dark), title="Cosine similarity of captions and pictures", height=area_height + 150,
        margin={"t": 102, "b": 48}, legend={"y": 1 + 28 / area_height},  # above the first model's name
    )  # fmt: skip
    plot.update_yaxes(title_text="density", rangemode="tozero")
    plot.update_xaxes(title_text="cosine", row=len(tables), col=1)
    return plot


def _whiskers(metric: "pd.Series[float]", colour: str) -> dict[str, object]:
    """Return the error bars of a row of `geometry`."""
    above, below = metric.high - metric.value, metric.value - metric.low
    return {"type": "data", "array": [above], "arrayminus": [below], "color": colour, "thickness": 1.5}
