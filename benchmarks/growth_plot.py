"""Draw what `growth.py` measured: time and memory over the number of pictures."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from results import Result, Table

FILE = Path(__file__).parents[1] / "docs" / "assets" / "growth.svg"
PANELS = {
    "build: time (s)": ("build", "seconds"),
    "build: peak memory (MB)": ("build", "memory"),
    "opening (s)": ("gallery", "opened"),
    "one search, images (ms)": ("gallery", "query"),
    "memory after searches (MB)": ("gallery", "memory"),
    "map, computed once (s)": ("gallery", "map"),
}
"""Title -> table and column of the result."""


def is_current(result: Result) -> bool:
    """Whether the drawing shows this result."""
    return FILE.exists() and _digest(result) in FILE.read_text(encoding="utf-8")


def growth_plot(result: Result) -> str:
    """Return the figures of a result of `growth.py` as SVG, with logarithmic axes."""
    import matplotlib as mpl  # render.py --check needs none of it
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, FuncFormatter

    grey, teal = "#808080", "#0d9488"  # legible on light and dark pages
    parts = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style: dict[Any, Any] = dict.fromkeys(parts, grey) | {
        "svg.hashsalt": "growth",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 9,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(9, 5), layout="constrained")
        for axes, (title, (table, column)) in zip(figure.subplots(2, 3).flat, PANELS.items(), strict=True):
            points = _points(result.tables[table], column)
            axes.loglog(list(points), list(points.values()), color=teal, marker="o")
            for number, value in points.items():
                axes.annotate(
                    f"{value:.2g}" if value < 10 else f"{value:,.0f}",
                    (number, value),
                    textcoords="offset points",
                    xytext=(0, 7),
                    ha="center",
                    fontsize=8,
                )
            axes.set_ylim(min(points.values()) / 5, max(points.values()) * 5)  # what hardly grows looks flat
            axes.set_xlim(min(points) / 2, max(points) * 2)
            axes.set_title(title, fontsize=9)
            axes.set_xlabel("photos" if table == "build" else "pictures")
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            axes.minorticks_off()
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axes.spines[["top", "right"]].set_visible(False)
            axes.patch.set_alpha(0)
        figure.patch.set_alpha(0)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Description": _digest(result)})
    return out.getvalue()


def _points(table: Table, column: str) -> Mapping[int, float]:
    """Map the number of pictures, with which the title of each row begins, to the value of a column."""
    found = {}
    for row in table.rows:
        value = row.cells.get(column)
        if isinstance(value, int | float):
            found[int(row.title.split()[0].replace(",", ""))] = value
    return found


def _digest(result: Result) -> str:
    return hashlib.sha256(result.model_dump_json().encode()).hexdigest()
