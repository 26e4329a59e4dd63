"""Details of points of the map. The browser names a point by its key, "images:ROW" or "captions:ROW"."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.gallery_analysis import GalleryAnalysis
from itr_core.errors import QueryError
from itr_core.retrieval.searcher import Hit, Searcher
from ui.web import html
from ui.web.boundary.served import thumbnail_url

NEIGHBOURS = 6
MOST_IMAGES = 48
"""Largest number of images in a grid."""


def parse(key: Any, analysis: GalleryAnalysis) -> tuple[str, int]:
    """Return ("images" or "captions", row); QueryError if the gallery has no such point."""
    modality, _, row = str(key).partition(":")
    sizes = {"images": len(analysis.images), "captions": len(analysis.captions)}
    number = int(row) if row.isascii() and row.isdecimal() and len(row) < 16 else None
    if number is None or number >= sizes.get(modality, 0):
        raise QueryError(f"There is no point {str(key)[:40]!r} on this map.")
    return modality, number


def key_of_card(analysis: GalleryAnalysis, item: Any, query: Any) -> str:
    """Return the key of a clicked neighbour, an image id or a caption; QueryError if there is none such."""
    if item is not None:
        return f"images:{analysis.gallery.row(str(item))}"
    if query in analysis.captions:
        return f"captions:{analysis.captions.index(query)}"
    raise QueryError("There is no such caption in this gallery.")


def describe(analysis: GalleryAnalysis, key: Any) -> dict[str, str]:
    """Return the caption and the address of the thumbnail of a point, for `ui.web.analysis.plot.plot`."""
    modality, row = parse(key, analysis)
    image = row if modality == "images" else int(analysis.gallery.image_of_caption[row])
    hit = _hit(analysis, image)
    caption = analysis.captions[row] if modality == "captions" else hit.caption
    return {"caption": caption, "thumbnail": thumbnail_url(hit.thumbnail)}


def details(analysis: GalleryAnalysis, searcher: Searcher, keys: Sequence[Any], gallery: str) -> str:
    """Return one point with its neighbours, or several points as a grid of images."""
    points = [parse(key, analysis) for key in keys]
    if not points:
        raise QueryError("No point is selected.")
    return _grid(analysis, points) if len(points) > 1 else _point(analysis, searcher, *points[0], gallery)


def worst_of_bucket(analysis: GalleryAnalysis, bucket: str) -> str:
    """Return the captions of one length with the worst ranks, each with its image."""
    from analysis.query_length import buckets

    rows = dict(buckets(analysis.captions)).get(bucket)
    if rows is None:
        raise QueryError(f"There are no queries of {bucket[:20]!r} words here.")
    ranks, image_of_caption = analysis.ranks()[0], analysis.gallery.image_of_caption
    worst = rows[np.argsort(-ranks[rows], kind="stable")][:MOST_IMAGES]
    hits = [
        replace(
            _hit(analysis, int(image_of_caption[row])), rank=round(ranks[row]), caption=analysis.captions[row]
        )
        for row in worst
    ]
    return html.render("worst_queries.html", hits=hits, bucket=bucket, number=len(rows))


def _point(analysis: GalleryAnalysis, searcher: Searcher, modality: str, row: int, gallery: str) -> str:
    items, image_of_caption = analysis.gallery.items, analysis.gallery.image_of_caption
    image = row if modality == "images" else int(image_of_caption[row])
    item = str(items["image_id"].iat[image])
    of_image = np.flatnonzero(image_of_caption == image)
    ranks = [None] * len(of_image) if analysis.unpaired else analysis.ranks()[0][of_image]
    if modality == "images":
        heading = "Picture"
        nearest = searcher.search_item(item, NEIGHBOURS, of="images")
        neighbours = html.pictures(nearest, "Nearest pictures", action="open this") if nearest else ""
        if analysis.captions:
            neighbours += html.captions(searcher.search_item(item, NEIGHBOURS), "Nearest captions")
    else:
        heading = f"“{analysis.captions[row]}”"
        nearest = searcher.search_text(analysis.captions[row], NEIGHBOURS)
        neighbours = html.pictures(nearest, "Nearest pictures", action="open this")
    return html.render(
        "map_point.html",
        image=_hit(analysis, image),
        heading=heading,
        captions=[
            (analysis.captions[caption], rank, modality == "captions" and caption == row)
            for caption, rank in zip(of_image, ranks, strict=True)
        ],
        link=html.share_link(item=item, g=gallery),
        neighbours=neighbours,
    )


def _grid(analysis: GalleryAnalysis, points: list[tuple[str, int]]) -> str:
    image_of_caption = analysis.gallery.image_of_caption
    rows = [row if modality == "images" else int(image_of_caption[row]) for modality, row in points]
    images = list(dict.fromkeys(rows))
    n_captions = sum(modality == "captions" for modality, _ in points)
    summary = html.render(
        "map_selection.html",
        n_images=len(points) - n_captions,
        n_captions=n_captions,
        limit=MOST_IMAGES if len(images) > MOST_IMAGES else None,
    )
    hits = [_hit(analysis, image, rank) for rank, image in enumerate(images[:MOST_IMAGES], 1)]
    return summary + html.pictures(hits, "Selected on the map", ranked=False, action="open this")


def _hit(analysis: GalleryAnalysis, image: int, rank: int = 1) -> Hit:
    row = analysis.gallery.items.iloc[image]
    caption = row["captions"][-1] if row["captions"] else ""
    return Hit(rank, 1.0, row["image_id"], caption, analysis.gallery.path / row["thumbnail"])
