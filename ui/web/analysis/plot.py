"""A plotly figure with hover, click, lasso and export; `gr.Plot` has none of these events."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from ui.web.boundary.served import serve_file

if TYPE_CHECKING:
    import plotly.graph_objects as go

_JS = Path(__file__).with_name("plot.js").read_text(encoding="utf-8")
_TEMPLATE = """
<figure class="plot" aria-label="">
  <div class="area"></div>
  <figcaption><span class="caption"></span>
    <button type="button" data-save="png" disabled>PNG</button>
    <button type="button" data-save="svg" disabled>SVG</button>
    <button type="button" data-save="csv" disabled>CSV</button>
  </figcaption>
</figure>
"""


def plotly_js() -> Path:
    """Return the path of the plotly.js in the installed plotly package, without importing plotly."""
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


def plot(*, describe: Callable[[Any], dict[str, str]] | None = None, **settings: Any) -> gr.HTML:
    """Return a component for a figure; its value is what `plot_value` returns.

    A click on a point and a lasso around points trigger `select` with `keys`: the customdata of the points.
    They come from the browser and can be anything.

    Args:
        describe: Server function for a hovered point: [meta, key] -> {"caption", "thumbnail"}, a text and the
            address of an image.
        settings: Of `gr.HTML`.
    """
    return gr.HTML(
        html_template=_TEMPLATE,
        js_on_load=_JS,
        head=f'<script src="{serve_file(plotly_js())}"></script>',
        server_functions=[describe] if describe else None,
        **settings,
    )


def plot_value(figure: "go.Figure", caption: str, name: str, **meta: Any) -> dict[str, Any]:
    """Return a figure as the value of `plot`.

    Args:
        figure: The figure.
        caption: A sentence on how to read it.
        name: File name of exports, without extension.
        meta: Passed on to `describe`.
    """
    return {"figure": json.loads(figure.to_json()), "caption": caption, "name": name, "meta": meta}
