"""Points of a map, named "images:ROW" or "captions:ROW" by the browser, as what they stand for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.gallery_analysis import GalleryAnalysis
from itr_core.errors import QueryError
from itr_core.retrieval.searcher import Hit, Searcher
from ui.web import html

NEIGHBOURS, MOST_SHOWN = 6, 48


def parse(key: Any, analysis: GalleryAnalysis) -> tuple[str, int]:
    """("images" or "captions", row); QueryError for anything that is no point of this gallery."""
    modality, _, row = str(key).partition(":")
    sizes = {"images": len(analysis.images), "captions": len(analysis.captions)}
    if modality not in sizes or not row.isascii() or not row.isdecimal() or int(row) >= sizes[modality]:
        raise QueryError(f"There is no point {str(key)[:40]!r} on this map.")
    return modality, int(row)


def of_card(analysis: GalleryAnalysis, item: Any, query: Any) -> str:
    """The point of a card of the panel: the id of a picture, or a caption."""
    if item is not None:
        return f"images:{analysis.gallery.row(str(item))}"
    if query in analysis.captions:
        return f"captions:{analysis.captions.index(query)}"
    raise QueryError("There is no such caption in this gallery.")


def describe(analysis: GalleryAnalysis, key: Any) -> dict[str, str]:
    """The caption, and the address of the picture, of a point under the pointer."""
    modality, row = parse(key, analysis)
    image = row if modality == "images" else int(analysis.gallery.image_of_caption[row])
    picture = _hit(analysis, image)
    caption = analysis.captions[row] if modality == "captions" else picture.caption
    return {"caption": caption, "thumbnail": html.file_url(picture.thumbnail)}


def opened(analysis: GalleryAnalysis, searcher: Searcher, keys: Sequence[Any], gallery: str) -> str:
    """One point with its neighbours, or several as a grid of pictures."""
    points = [parse(key, analysis) for key in keys]
    if not points:
        raise QueryError("No point was chosen.")
    return _gathered(analysis, points) if len(points) > 1 else _pair(analysis, searcher, *points[0], gallery)


def worst_of_bucket(analysis: GalleryAnalysis, bucket: str) -> str:
    """The queries of one length that find their own image last, with that image and its place."""
    from analysis.query_length import buckets

    rows = dict(buckets(analysis.captions)).get(bucket)
    if rows is None:
        raise QueryError(f"There are no queries of {bucket[:20]!r} words here.")
    ranks, image_of_caption = analysis.ranks()[0], analysis.gallery.image_of_caption
    worst = rows[np.argsort(-ranks[rows], kind="stable")][:MOST_SHOWN]
    hits = [
        replace(
            _hit(analysis, int(image_of_caption[row])), rank=round(ranks[row]), caption=analysis.captions[row]
        )
        for row in worst
    ]
    return html.render("queries.html", hits=hits, bucket=bucket, number=len(rows))


def _pair(analysis: GalleryAnalysis, searcher: Searcher, modality: str, row: int, gallery: str) -> str:
    items, image_of_caption = analysis.gallery.items, analysis.gallery.image_of_caption
    image = row if modality == "images" else int(image_of_caption[row])
    item = str(items["image_id"].iat[image])
    of_image = np.flatnonzero(image_of_caption == image)
    ranks = analysis.ranks()[0][of_image] if len(of_image) else of_image
    if modality == "images":
        heading = "A picture"
        like = searcher.search_item(item, NEIGHBOURS, of="images")
        neighbours = html.pictures(like, "Pictures next to it", action="open this")
        if analysis.captions:
            neighbours += html.captions(searcher.search_item(item, NEIGHBOURS), "Captions next to it")
    else:
        heading = f"“{analysis.captions[row]}”"
        found = searcher.search_text(analysis.captions[row], NEIGHBOURS)
        neighbours = html.pictures(found, "Pictures it finds", action="open this")
    return html.render(
        "opened.html",
        picture=_hit(analysis, image),
        heading=heading,
        captions=[
            (analysis.captions[caption], rank, modality == "captions" and caption == row)
            for caption, rank in zip(of_image, ranks, strict=True)
        ],
        link=html.share_link(item=item, g=gallery).removeprefix("?"),
        neighbours=neighbours,
    )


def _gathered(analysis: GalleryAnalysis, points: list[tuple[str, int]]) -> str:
    image_of_caption = analysis.gallery.image_of_caption
    images = [row if modality == "images" else int(image_of_caption[row]) for modality, row in points]
    several = list(dict.fromkeys(images))
    said = sum(modality == "captions" for modality, _ in points)
    head = html.render(
        "gathered.html",
        pictures=len(points) - said,
        captions=said,
        shown=MOST_SHOWN,
        more=len(several) > MOST_SHOWN,
    )
    hits = [_hit(analysis, image, rank) for rank, image in enumerate(several[:MOST_SHOWN], 1)]
    return head + html.pictures(hits, "Selected on the map", ranked=False, action="open this")


def _hit(analysis: GalleryAnalysis, image: int, rank: int = 1) -> Hit:
    row = analysis.gallery.items.iloc[image]
    caption = row["captions"][-1] if row["captions"] else ""
    return Hit(rank, 1.0, row["image_id"], caption, analysis.gallery.path / row["thumbnail"])
