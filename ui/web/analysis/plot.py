"""A plotly figure that can be hovered, clicked, lassoed and exported; `gr.Plot` has none of these events."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from ui.web.html import file_url

if TYPE_CHECKING:
    import plotly.graph_objects as go

_JS = Path(__file__).with_name("plot.js").read_text(encoding="utf-8")
_TEMPLATE = """
<figure class="plot" aria-label="">
  <div class="area"></div>
  <figcaption><span class="says"></span>
    <button type="button" data-save="png" disabled>PNG</button>
    <button type="button" data-save="svg" disabled>SVG</button>
    <button type="button" data-save="csv" disabled>Data</button>
  </figcaption>
</figure>
"""


def plotly_js() -> Path:
    """The plotly.js that the installed plotly comes with; found without importing plotly."""
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


def plot(*, describe: Callable[[Any], dict[str, str]] | None = None, **settings: Any) -> gr.HTML:
    """A place for a figure; its value is what `drawn` returns.

    A click on a point and a lasso around points trigger `select` with `keys`, the points' customdata (strings
    or numbers from the browser, so not to be trusted). `describe([meta, key])` is asked for what to show at a
    hovered point: {"caption", "thumbnail"}, both text, of which the second is an address.
    """
    gr.set_static_paths([plotly_js()])
    return gr.HTML(
        html_template=_TEMPLATE,
        js_on_load=_JS,
        head=f'<script src="{file_url(plotly_js())}"></script>',
        server_functions=[describe] if describe else None,
        **settings,
    )


def drawn(figure: "go.Figure", says: str, name: str, **meta: Any) -> dict[str, Any]:
    """A figure for `plot`. says: what is seen, in a sentence. name: of exports. meta: for `describe`."""
    return {"figure": json.loads(figure.to_json()), "says": says, "name": name, "meta": meta}
