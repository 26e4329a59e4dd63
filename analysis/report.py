"""Report on one or several galleries: one HTML file that needs no network."""

import json
from base64 import b64encode
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis.figures.geometry import plane, similarities
from analysis.figures.maps import embedding_map
from analysis.figures.misses import causes
from analysis.figures.query_length import by_length
from analysis.figures.style import template
from analysis.gallery_analysis import GalleryAnalysis, Maps, aligned, same_items
from analysis.geometry.catalogue import GEOMETRY, missing
from analysis.misses.causes import worst
from analysis.tables import with_items, with_pairs
from itr_core.metrics.catalogue import metric_of
from itr_core.metrics.sampling import shuffled_rows
from itr_core.system.files import whole_file
from itr_core.system.progress import Progress

MAX_POINTS = 1500
"""Most points of each modality on a map; of more, a seeded sample."""
WORST = 6
"""Number of misses shown of each gallery."""
THUMBNAIL = 176
"""Longest side of their images, in pixels."""


def write_report(
    analyses: Mapping[str, GalleryAnalysis],
    tables: Mapping[str, pd.DataFrame],
    path: Path,
    *,
    progress: Progress | None = None,
) -> None:
    """Write the report of galleries as HTML.

    Maps of galleries with the same pairs are aligned, which takes seconds to minutes the first time. The file
    has about 2 MB for one gallery of 5,000 pairs, of which plotly.js takes 1.5 MB.

    Args:
        analyses: by name.
        tables: of `analysis.tables.tables` for the same galleries.
        path: of the HTML file.
        progress: of the maps.
    """
    paired = with_pairs(analyses)
    figures: dict[str, go.Figure] = {}
    if paired:
        figures["plane"] = plane({name: one.geometry() for name, one in paired.items()})
        figures["similarities"] = similarities({name: one.histograms() for name, one in paired.items()})
        figures["causes"] = causes({name: one.misses() for name, one in paired.items()})
    groups = _groups(analyses)
    for index, group in enumerate(groups):
        if measured := with_pairs(group):
            figures[f"length-{index}"] = by_length({name: one.by_length() for name, one in measured.items()})
        for (name, one), maps in zip(
            group.items(), aligned([*group.values()], "joint", progress=progress), strict=True
        ):
            figures[f"map-{name}"] = _map(one, maps, name)
    environment = Environment(
        loader=PackageLoader("analysis"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"number": _number, "cell_of": partial(_cell, tables, analyses)}
    retrieval = list(tables["metrics"]["metric"].unique()) if paired else []
    html = environment.get_template("report.html").render(
        galleries=analyses,
        groups=groups,
        tables=tables,
        paired=paired,
        rows={
            "metrics": {name: _retrieval_row(name) for name in retrieval},
            "geometry": {name: (m.title, m.definition, m.better) for name, m in GEOMETRY.items()},
        },
        figures=figures,
        drawings={name: _drawing(figure) for name, figure in figures.items()},
        templates={mode: template(mode == "dark").to_plotly_json() for mode in ("light", "dark")},
        worst={name: _worst(one) for name, one in paired.items()},
        plotly=files("assets").joinpath("js", "plotly-cartesian.min.js").read_text(encoding="utf-8"),
    )
    with whole_file(path) as part:
        part.write_text(html, encoding="utf-8")


def _retrieval_row(name: str) -> tuple[str, str, str]:
    """Title, definition and better direction of a metric of the standard protocol, such as "t2i_r1"."""
    metric, direction = metric_of(name)
    return metric.title_in(direction), metric.definition_in(direction), metric.better


def _groups(analyses: Mapping[str, GalleryAnalysis]) -> list[dict[str, GalleryAnalysis]]:
    """Group galleries that contain the same pairs."""
    groups: list[dict[str, GalleryAnalysis]] = []
    for name, one in analyses.items():
        group = next((each for each in groups if same_items([*each.values(), one])), None)
        if group is None:
            groups.append({name: one})
        else:
            group[name] = one
    return groups


def _map(one: GalleryAnalysis, maps: Maps, name: str) -> go.Figure:
    """Draw the map of a gallery. Galleries of the same pairs show the same sample of items."""
    random = np.random.default_rng(0)
    rows = {
        modality: np.sort(shuffled_rows(random, len(each.points), MAX_POINTS))
        for modality, each in maps.items()
    }
    text = {"images": one.gallery.items["image_id"].tolist(), "captions": one.captions}
    return embedding_map(maps, text=text, rows=rows, webgl=False, title=name)


def _worst(one: GalleryAnalysis) -> list[dict[str, Any]]:
    """Return the worst T2I misses that are errors of the model, with both images and the cause."""
    misses = with_items(one)
    errors = misses[
        (misses["direction"] == "t2i") & ~misses["cause"].isin(["false negative", "near-duplicate"])
    ]
    image_of_caption = one.pairs[2]
    return [
        {
            **{field: miss[field] for field in ("asked", "rank", "cause", "captioned", "depicted", "firsts")},
            "found": _thumbnail(one, miss["found"]),
            "right": _thumbnail(one, image_of_caption[miss["query"]]),
        }
        for miss in worst(errors, WORST).to_dict("records")
    ]


def _thumbnail(one: GalleryAnalysis, row: int) -> str:
    """Return a small image of a gallery as a data URI, WebP."""
    small = one.gallery.decoded_thumbnail(row)
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    out = BytesIO()
    small.save(out, "WEBP", quality=70)
    return f"data:image/webp;base64,{b64encode(out.getvalue()).decode()}"


def _drawing(figure: go.Figure) -> dict[str, Any]:
    """Return data and layout for plotly.js. The page adds the template, light or dark."""
    drawing = json.loads(figure.to_json())
    drawing["layout"].pop("template")
    return {key: drawing[key] for key in ("data", "layout")}


def _number(value: float, decimals: int = 1) -> str:
    """Format a number with a real minus sign, and NaN as a dash.

    >>> [_number(61.04), _number(-2.7504, 3), _number(float("nan"))]
    ['61.0', '−2.750', '–']
    """
    return "–" if np.isnan(value) else f"{value:.{decimals}f}".replace("-", "−")


def _cell(
    tables: Mapping[str, pd.DataFrame],
    analyses: Mapping[str, GalleryAnalysis],
    gallery: str,
    subject: str,
    metric: str,
) -> dict[str, str]:
    """Return value and interval of a metric of a gallery, or a dash and what the metric needs.

    Small geometric metrics have three decimals.
    """
    one = analyses[gallery]
    if subject == "geometry" and (need := missing(metric, len(one.images), len(one.captions))):
        return {"value": "–", "interval": need}
    table = tables[subject]
    row = table[(table["gallery"] == gallery) & (table["metric"] == metric)].iloc[0]
    decimals = 3 if subject == "geometry" and abs(row["value"]) < 10 else 1
    low, high = (_number(row[key], decimals) for key in ("low", "high"))
    return {"value": _number(row["value"], decimals), "interval": f"{low} to {high}"}
