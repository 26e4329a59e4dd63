"""One query, answered by several models of the same pictures."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from analysis.comparison.agreement import rank_biased_overlap
from analysis.comparison.compared import DEPTH
from analysis.comparison.noise import NoiseBand
from analysis.comparison.side_by_side import Place, side_by_side
from analysis.gallery_analysis import same_items
from analysis.query_truth import QueryTruth
from itr_core.errors import QueryError
from itr_core.picturebook.scene_code import decode as decode_scene
from itr_core.retrieval.searcher import MAX_RESULTS, Hit, Searcher
from ui.web.compare.request import Request
from ui.web.galleries import Galleries

Find = Callable[[Searcher], list[Hit]]


@dataclass(frozen=True)
class Column:
    """The pictures of one model.

    Attributes:
        name: name of its gallery.
        hits: its first 100 pictures.
        places: the first of them, see `analysis.comparison.side_by_side`.
        agreement: rank-biased overlap of the first 20 pictures with the column to the left; None in the first
            column.
        differs: whether it differs more from that column than two seeds of one method; None if unknown.
    """

    name: str
    hits: list[Hit]
    places: list[Place]
    agreement: float | None
    differs: bool | None


@dataclass(frozen=True)
class Comparison:
    """The columns of a query, with the duration of the searches."""

    columns: list[Column]
    seconds: float


def check_same_pictures(galleries: Galleries, names: Sequence[str]) -> None:
    """Raise QueryError if the galleries contain different pictures."""
    if not same_items([galleries.analysis(name) for name in names]):
        raise QueryError(
            f"{', '.join(names)} contain different pictures or captions. Compare galleries that were built "
            "from the same source."
        )


def compare(galleries: Galleries, request: Request, find: Find, noise: NoiseBand | None) -> Comparison:
    """Search with all models; the galleries must have loaded.

    Args:
        galleries: all galleries.
        request: what is asked for.
        find: the first 100 pictures of a model.
        noise: how much two seeds differ, if known.

    Raises:
        QueryError: the query is invalid, or the galleries contain different pictures.
    """
    names = request.columns
    check_same_pictures(galleries, names)
    start = time.perf_counter()
    hits = [find(galleries.searcher(name, timeout=0)) for name in names]
    seconds = time.perf_counter() - start
    rankings = [[hit.item_id for hit in each] for each in hits]
    places = side_by_side(rankings, request.count)
    columns = []
    for number, name in enumerate(names):
        agreement = differs = None
        if number:
            left, here = (np.array([ranking[:DEPTH]]) for ranking in rankings[number - 1 : number + 1])
            agreement = float(rank_biased_overlap(left, here)[0])
            differs = None if noise is None else noise.differs(request.words, agreement)
        columns.append(Column(name, hits[number], places[number], agreement, differs))
    return Comparison(columns, seconds)


def truth_of(galleries: Galleries, request: Request) -> QueryTruth | None:
    """Return which pictures are right for the query of a request; None if that is not known."""
    analysis = galleries.analysis(request.names[0])
    known = analysis.query_truth
    if known is None or request.own:
        return None
    if request.scene:
        return known.of_scene(decode_scene(request.scene))
    if request.item:
        return known.of_item(analysis.gallery.row(request.item))
    return known.of_query(request.words)


def finder(request: Request, image: Image.Image | None = None) -> Find:
    """Return how a model answers the query of a request; `image` is that of the visitor or of a scene."""
    if image is not None:
        return lambda searcher: searcher.search_image(image, MAX_RESULTS, "images")
    if request.item:
        return lambda searcher: searcher.search_item(request.item, MAX_RESULTS, "images")
    return lambda searcher: searcher.search_text(request.words, MAX_RESULTS)
