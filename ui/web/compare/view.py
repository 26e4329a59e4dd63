"""A comparison as HTML."""

from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from string import ascii_uppercase
from typing import Any

from analysis.comparison.compared import Compared
from analysis.comparison.telling_queries import mended_and_broken, telling_queries
from analysis.gallery_analysis import GalleryAnalysis
from analysis.query_truth import QueryTruth
from itr_core.gallery import Gallery
from itr_core.retrieval.searcher import MAX_RESULTS
from ui.web import html
from ui.web.boundary.served import thumbnail_url
from ui.web.compare.comparison import Column, Comparison
from ui.web.compare.request import Request
from ui.web.search.examples import WORDS

TELLING = 8
"""Number of queries that are offered."""
EXAMPLES = 6
"""Number of queries that are shown as mended, and as broken."""
METRICS = {
    "t2i_r1": "T2I R@1", "t2i_r5": "T2I R@5", "t2i_r10": "T2I R@10",
    "i2t_r1": "I2T R@1", "i2t_r5": "I2T R@5", "i2t_r10": "I2T R@10",
    "rsum": "rSum",
    "exact_t2i_map_at_r": "T2I mAP@R", "exact_i2t_map_at_r": "I2T mAP@R",
}  # fmt: skip
"""Name of a metric -> its title."""


def columns(
    comparison: Comparison,
    request: Request,
    gallery: Gallery,
    heading: str,
    truth: QueryTruth | None,
    labels: Mapping[str, str],
) -> str:
    """Return the pictures of all models side by side, with lines between equal ones.

    Args:
        comparison: the columns.
        request: what was asked for.
        gallery: the gallery whose thumbnails are shown; the same one for all models, so that equal pictures
            are loaded once and an address does not tell whose column it is in.
        heading: what was searched for.
        truth: which pictures are right for the query, if known.
        labels: name of a gallery -> what is shown.
    """
    marks = None if request.hidden else truth
    shown = [
        _column(column, number, request, gallery, marks)
        | {"name": f"Model {ascii_uppercase[number]}" if request.hidden else labels[column.name]}
        for number, column in enumerate(comparison.columns)
    ]
    return html.render(
        "compare.html",
        heading=heading, columns=shown, rights=None if marks is None else marks.total, request=request,
        gutters=[_lines(a, b) for a, b in pairwise(shown)],
        rows=max(len(column["pictures"]) for column in shown),
    )  # fmt: skip


def _column(
    column: Column, number: int, request: Request, gallery: Gallery, truth: QueryTruth | None
) -> dict[str, Any]:
    hits = {hit.item_id: hit for hit in column.hits}
    rows = [gallery.row(place.item) for place in column.places]
    known = [truth.of(row) if truth else None for row in rows]
    pictures = [
        {
            "item": place.item, "rank": place.rank, "only": place.only,
            "caption": hits[place.item].caption, "score": hits[place.item].score,
            "thumbnail": thumbnail_url(gallery.thumbnail(place.item)),
            "change": _change(place.rank, place.before) if number else None,
            "right": found and found[0], "broken": found[1] if found else "",
        }
        for place, found in zip(column.places, known, strict=True)
    ]  # fmt: skip
    return {
        "pictures": pictures, "letter": ascii_uppercase[number],
        "agreement": column.agreement, "differs": None if request.hidden else column.differs,
        "found": None if truth is None else truth.right(rows),
        "voted": request.vote == str(number),
    }  # fmt: skip


def _change(rank: int, before: int | None) -> tuple[str, str]:
    """Return a sign and words for the change of a rank against the column to the left."""
    if before is None:
        return "new", f"not among the first {MAX_RESULTS} to the left"
    if before == rank:
        return "=", "same rank to the left"
    return f"{'▲' if before > rank else '▼'} {abs(before - rank)}", f"rank {before} to the left"


def _lines(left: dict[str, Any], right: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the lines between equal pictures of two columns; the unit of height is a row."""
    ranks = {each["item"]: each["rank"] for each in left["pictures"]}
    return [
        {"item": each["item"], "right": each["right"]}
        | {"from": ranks[each["item"]] - 0.5, "to": each["rank"] - 0.5}
        for each in right["pictures"]
        if each["item"] in ranks
    ]


def telling(models: Sequence[Compared], captions: Sequence[str]) -> str:
    """Return buttons with captions that tell the models apart."""
    rows = telling_queries(models, captions, TELLING)
    return html.render("compare_telling.html", queries=[captions[row] for row in rows], total=len(captions))


def measures(analyses: Mapping[str, GalleryAnalysis], labels: Mapping[str, str]) -> str:
    """Return the metrics of all models, what each mends and breaks, and links to files of ranks.

    Args:
        analyses: name -> analysis, whose results are there; the first one is what others are compared with.
        labels: name of a gallery -> what is shown.
    """
    models = {name: each.compared() for name, each in analyses.items()}
    (base_name, base), *others = models.items()
    captions = analyses[base_name].captions
    estimates = [each.estimates() for each in models.values()]
    differences = [{}, *(each.minus(base) for _, each in others)]
    rows = [
        {
            "title": title,
            "cells": [
                {"estimate": own[metric], "difference": difference.get(metric)}
                for own, difference in zip(estimates, differences, strict=True)
            ],
        }
        for metric, title in METRICS.items()
        if metric in estimates[0]
    ]
    changes = []
    for name, each in others:
        mended, broken = mended_and_broken(base, each)
        changes.append(
            {
                "name": labels[name], "mended": len(mended), "broken": len(broken),
                "mended_queries": _texts(captions, mended), "broken_queries": _texts(captions, broken),
            }
        )  # fmt: skip
    return html.render(
        "compare_measures.html",
        models=[(name, labels[name]) for name in models], base=labels[base_name], rows=rows, changes=changes,
        truth="exact_t2i_map_at_r" in estimates[0], queries=len(captions),
    )  # fmt: skip


def _texts(captions: Sequence[str], rows: Any) -> list[str]:
    """Return a few of the captions that fit a button."""
    texts = (captions[row] for row in rows if len(captions[row].split()) in WORDS)
    return list(islice(dict.fromkeys(texts), EXAMPLES))
