"""The endpoint `/compare`: one query, answered by several models of the same pictures."""

from collections.abc import Sequence
from typing import TypedDict

from analysis.query_truth import QueryTruth
from itr_core.errors import QueryError
from itr_core.gallery import Gallery
from ui.web.boundary.served import thumbnail_url
from ui.web.compare.comparison import Column, compare, finder, truth_of
from ui.web.compare.noise import noise_band
from ui.web.compare.request import Request, check_count, check_names
from ui.web.endpoints import READY_SECONDS
from ui.web.errors import as_gradio_error
from ui.web.galleries import Galleries


class PlaceRecord(TypedDict):
    """A picture; `rank_before` is its rank with the model before, `right` whether the query is true of it.

    Both are None where they are not known: the former beyond rank 100 and for the first model.
    """

    rank: int
    score: float
    item_id: str
    caption: str
    thumbnail: str
    rank_before: int | None
    only_here: bool
    right: bool | None


class ModelRecord(TypedDict):
    """The pictures of one model; `agreement` with the model before is the rank-biased overlap, 0 to 1."""

    gallery: str
    found: int | None
    agreement: float | None
    differs_more_than_seeds: bool | None
    places: list[PlaceRecord]


class ComparisonRecord(TypedDict):
    """A comparison; `right` is the number of pictures that the query is true of, if known."""

    query: str
    right: int | None
    models: list[ModelRecord]


class CompareEndpoint:
    """The function behind the endpoint.

    Args:
        galleries: all galleries.
        seeds: specs of two models that differ in their seed only.
        default: names of the galleries that are compared if a program names none.
    """

    def __init__(self, galleries: Galleries, seeds: Sequence[str], default: Sequence[str]) -> None:
        self.galleries = galleries
        self.seeds = seeds
        self.default = default

    @as_gradio_error
    def compare(self, query: str, k: int = 12, galleries: list[str] | None = None) -> ComparisonRecord:
        """Search the same pictures with two to six models, and say how their rankings differ.

        Args:
            query: what the picture should show, in the language of the gallery's captions
            k: number of pictures for each model, 1 to 48
            galleries: names of two to six galleries of the same pictures; by default the first two

        Returns:
            for each gallery its first pictures: rank, rank with the model before, whether only this model
            has it among its first k, whether the query is true of it (null if that is not known); how many
            of them are right (found), the agreement with the model before (rank-biased overlap), and
            whether they differ more than two models that differ in their random seed only
        """
        if not isinstance(galleries, list | None):
            raise QueryError(f"galleries={str(galleries)[:40]!r}: send a list of names.")
        names = check_names([*map(str, galleries or self.default)], self.galleries.all_names)
        request = Request(str(query or ""), "", "", False, names, check_count(k))
        for name in names:
            self.galleries.searcher(name, timeout=READY_SECONDS)
        noise = noise_band(self.galleries, names[0], self.seeds)
        comparison = compare(self.galleries, request, finder(request), noise)
        truth = truth_of(self.galleries, request)
        gallery = self.galleries.searcher(names[0]).gallery
        return {
            "query": request.words,
            "right": truth.total if truth else None,
            "models": [_model(column, gallery, truth) for column in comparison.columns],
        }


def _model(column: Column, gallery: Gallery, truth: QueryTruth | None) -> ModelRecord:
    rows = [gallery.row(place.item) for place in column.places]
    hits = {hit.item_id: hit for hit in column.hits}
    return {
        "gallery": column.name,
        "found": truth.right(rows) if truth else None,
        "agreement": column.agreement,
        "differs_more_than_seeds": column.differs,
        "places": [
            {
                "rank": place.rank, "score": hits[place.item].score, "item_id": place.item,
                "caption": hits[place.item].caption, "thumbnail": thumbnail_url(hits[place.item].thumbnail),
                "rank_before": place.before, "only_here": place.only,
                "right": truth.is_right(row) if truth else None,
            }
            for place, row in zip(column.places, rows, strict=True)
        ],
    }  # fmt: skip
