"""One HTML file with everything measured of one or several galleries; it needs no network to be read."""

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
from PIL import Image

from analysis.figures.geometry import plane, similarities
from analysis.figures.maps import embedding_map
from analysis.figures.misses import causes
from analysis.figures.query_length import by_length
from analysis.figures.style import template
from analysis.gallery_analysis import GalleryAnalysis, Maps, aligned, same_items
from analysis.geometry.catalogue import MEASURES
from analysis.misses.causes import worst
from analysis.tables import told
from itr_core.system.files import whole_file
from itr_core.system.progress import Progress

MOST_POINTS = 1500
"""Points of each modality on a map; of more, a seeded sample."""
WORST, THUMBNAIL = 6, 176
METRICS = {
    "t2i_r1": ("T2I R@1", "Of all captions, so many per cent find their image first."),
    "t2i_r5": ("T2I R@5", "Of all captions, so many per cent find their image among the first 5."),
    "t2i_r10": ("T2I R@10", "Of all captions, so many per cent find their image among the first 10."),
    "i2t_r1": ("I2T R@1", "Of all images, so many per cent find one of their captions first."),
    "i2t_r5": ("I2T R@5", "Of all images, so many per cent find one of their captions among the first 5."),
    "i2t_r10": ("I2T R@10", "Of all images, so many per cent find one of their captions among the first 10."),
    "rsum": ("rSum", "The six recalls added up, 600 at most."),
    "t2i_medr": (
        "T2I median rank",
        "Half of the captions find their image at this place or before; 1 is best.",
    ),
    "i2t_medr": ("I2T median rank", "Half of the images find a caption of theirs at this place or before."),
}


def write_report(
    galleries: Mapping[str, GalleryAnalysis],
    tables: Mapping[str, pd.DataFrame],
    path: Path,
    *,
    progress: Progress | None = None,
) -> None:
    """Write the report of galleries, by name, whose `analysis.tables.tables` these are.

    Maps of galleries with the same pairs are laid out together, which takes a while the first time;
    `progress` hears of it. About 2 MB for 5,000 pairs and one gallery: 1.5 MB are plotly.js.
    """
    figures = {
        "plane": plane({name: one.geometry() for name, one in galleries.items()}),
        "similarities": similarities({name: one.histograms() for name, one in galleries.items()}),
        "causes": causes({name: one.misses() for name, one in galleries.items()}),
    }
    groups = _groups(galleries)
    for place, group in enumerate(groups):
        figures[f"length-{place}"] = by_length({name: one.by_length() for name, one in group.items()})
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
    environment.filters |= {"number": _number, "about": partial(_row, tables)}
    html = environment.get_template("report.html").render(
        galleries=galleries,
        groups=groups,
        tables=tables,
        rows={"metrics": METRICS, "geometry": {n: (m.title, m.sentence) for n, m in MEASURES.items()}},
        better={name: measure.better for name, measure in MEASURES.items()},
        figures=figures,
        drawings={name: _drawing(figure) for name, figure in figures.items()},
        templates={mode: template(mode == "dark").to_plotly_json() for mode in ("light", "dark")},
        worst={name: _worst(one) for name, one in galleries.items()},
        plotly=files("assets").joinpath("js", "plotly-cartesian.min.js").read_text(encoding="utf-8"),
    )
    with whole_file(path) as part:
        part.write_text(html, encoding="utf-8")


def _groups(galleries: Mapping[str, GalleryAnalysis]) -> list[dict[str, GalleryAnalysis]]:
    """Galleries of the same pairs together."""
    groups: list[dict[str, GalleryAnalysis]] = []
    for name, one in galleries.items():
        group = next((each for each in groups if same_items([*each.values(), one])), None)
        if group is None:
            groups.append({name: one})
        else:
            group[name] = one
    return groups


def _map(one: GalleryAnalysis, maps: Maps, name: str) -> go.Figure:
    """The same items of every gallery that holds the same pairs."""
    random = np.random.default_rng(0)
    rows = {of: np.sort(random.permutation(len(each.points))[:MOST_POINTS]) for of, each in maps.items()}
    text = {"images": one.gallery.items["image_id"].tolist(), "captions": one.captions}
    return embedding_map(maps, text=text, rows=rows, webgl=False, title=name)


def _worst(one: GalleryAnalysis) -> list[dict[str, Any]]:
    """The worst misses of captions that are no fault of the pairs: both pictures and what is the matter."""
    misses = told(one)
    real = misses[
        (misses["direction"] == "t2i") & ~misses["cause"].isin(["false negative", "near-duplicate"])
    ]
    image_of_caption = one.pairs[2]
    return [
        {
            **{field: miss[field] for field in ("asked", "rank", "cause", "captioned", "depicted", "firsts")},
            "found": _thumbnail(one, miss["found"]),
            "right": _thumbnail(one, image_of_caption[miss["query"]]),
        }
        for miss in worst(real, WORST).to_dict("records")
    ]


def _thumbnail(one: GalleryAnalysis, row: int) -> str:
    """A data URI: small, WebP."""
    with Image.open(one.gallery.path / str(one.gallery.items["thumbnail"].iat[row])) as image:
        small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    out = BytesIO()
    small.save(out, "WEBP", quality=70)
    return f"data:image/webp;base64,{b64encode(out.getvalue()).decode()}"


def _drawing(figure: go.Figure) -> dict[str, Any]:
    """Data and layout as plotly.js takes them; the page puts in the template, light or dark."""
    drawing = json.loads(figure.to_json())
    drawing["layout"].pop("template")
    return {key: drawing[key] for key in ("data", "layout")}


def _number(value: float, decimals: int = 1) -> str:
    """With a true minus sign.

    >>> [_number(61.04), _number(-2.7504, 3), _number(float("nan"))]
    ['61.0', '−2.750', '–']
    """
    return "–" if np.isnan(value) else f"{value:.{decimals}f}".replace("-", "−")


def _row(tables: Mapping[str, pd.DataFrame], name: str, subject: str, measure: str) -> dict[str, str]:
    """Value and interval of a measure of a gallery: percentages and dimensions to one decimal place."""
    table = tables[subject]
    row = table[(table["gallery"] == name) & (table["metric"] == measure)].iloc[0]
    decimals = 3 if subject == "geometry" and abs(row["value"]) < 10 else 1
    return {key: _number(row[key], decimals) for key in ("value", "low", "high")}
