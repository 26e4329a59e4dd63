"""A plotly figure with hover, click, lasso and export; `gr.Plot` has none of these events."""

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import gradio as gr

from ui.web.boundary.served import serve_file

if TYPE_CHECKING:
    import plotly.graph_objects as go

_JS = Path(__file__).with_name("plot.js").read_text(encoding="utf-8")
_TEMPLATE = """
<figure class="plot" aria-label="" aria-busy="false" data-library="{library}">
  <div class="area"></div>
  <figcaption><span class="caption"></span>
    <span class="exports">
      <button type="button" data-save="png" disabled>PNG</button>
      <button type="button" data-save="svg" disabled>SVG</button>
      <button type="button" data-save="csv" disabled>CSV</button>
    </span>
  </figcaption>
  <details class="data">
    <summary>Data as a table</summary>
    <div class="wide" tabindex="0" role="region" aria-label="Data of the plot"></div>
  </details>
</figure>
"""

Value = dict[str, Any]
"""What `plot_value` returns."""


def plotly_js(bundle: str) -> Path:
    """Return the path of one of plotly.js's partial bundles, each a third of the whole library."""
    return Path(str(files("assets") / "js" / f"plotly-{bundle}.min.js"))


def plot(
    *,
    describe: Callable[[Any], dict[str, str]] | None = None,
    bundle: Literal["cartesian", "gl2d"] = "cartesian",
    **settings: Any,
) -> gr.HTML:
    """Return a component for a figure; its value is what `plot_value` returns.

    A click on a point and a lasso around points trigger `select` with `keys`: the customdata of the points.
    They come from the browser and can be anything. The table below the plot has a button for every point that
    can be clicked, for people who use the keyboard.

    Args:
        describe: Server function for a hovered point: [meta, key] -> {"caption", "thumbnail"}, a text and the
            address of an image.
        bundle: Bundle of plotly.js that has the traces of the figure: "gl2d" for `scattergl`, which draws
            many points, "cartesian" for all others. The browser fetches it with the first figure.
        settings: Of `gr.HTML`.
    """
    return gr.HTML(
        # Not a prop: `gr.skip()` empties the props of a component that the browser has not built yet.
        html_template=_TEMPLATE.format(library=serve_file(plotly_js(bundle))),
        js_on_load=_JS,
        server_functions=[describe] if describe else None,
        **settings,
    )


def plot_value(figure: "go.Figure", caption: str, name: str, **meta: Any) -> Value:
    """Return a figure as the value of `plot`.

    Args:
        figure: The figure.
        caption: A sentence on how to read it.
        name: File name of exports, without extension.
        meta: Passed on to `describe`.
    """
    return {"figure": json.loads(figure.to_json()), "caption": caption, "name": name, "meta": meta}
