"""The endpoints for programs: the same functions over HTTP, `gradio_client` and MCP."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import gradio as gr
import pandas as pd
from gradio.components.api_component import Api
from gradio.events import api
from gradio_client.utils import python_type_to_json_schema

from analysis.probes.explanation import explain
from itr_core.errors import QueryError
from itr_core.retrieval.filters import Of, word_range
from itr_core.retrieval.searcher import Hit, Searcher
from ui.web.analysis.jobs import awaited
from ui.web.boundary.served import thumbnail_url
from ui.web.errors import as_gradio_error
from ui.web.galleries import Galleries
from ui.web.search.picture_box import decoded, picture_box

READY_SECONDS = 60
"""Longest time in which a program waits for a gallery that is still loading."""
AT_ONCE = 4
"""Most calls of one endpoint that are answered at the same time."""


class HitRecord(TypedDict):
    """One result of a search.

    `true` says whether the query is true of the picture, where that is known; `approximate`, whether better
    results can be missing, because the gallery has an approximate index.
    """

    rank: int
    score: float
    item_id: str
    caption: str
    thumbnail: str
    true: bool | None
    broken: str
    approximate: bool


class Word(TypedDict):
    """A word of a query: its characters, and how much the score drops without it."""

    word: str
    start: int
    end: int
    drop: float


class Patch(TypedDict):
    """The patch that fits a word best; `located` is whether covering it lowers the score of the word."""

    word: str
    located: bool
    cosine: float
    row: int
    column: int


class ExplanationRecord(TypedDict):
    """Why an image has its rank; `patches` is empty for a model without patch tokens."""

    query: str
    score: float
    rank: int
    words: list[Word]
    patches: list[Patch]


class Measure(TypedDict):
    """A measure with its 95 % interval over images, which some measures do not have."""

    metric: str
    value: float
    low: float | None
    high: float | None


class AnalysisRecord(TypedDict):
    """Measures of a gallery; `note` says why retrieval cannot be measured."""

    gallery: str
    source: str
    model: str
    images: int
    captions: int
    metrics: list[Measure]
    geometry: list[Measure]
    note: str


class Endpoints:
    """The functions behind the endpoints, over `galleries`."""

    def __init__(self, galleries: Galleries) -> None:
        self.galleries = galleries

    @as_gradio_error
    def search_text(
        self, query: str, k: int = 10, gallery: str = "", minus: str = "", label: str = ""
    ) -> list[HitRecord]:
        """Search pictures with words (T2I).

        Args:
            query: what the picture should show, in the language of the gallery's captions
            k: number of pictures, 1 to 100
            gallery: name of the gallery; empty for the first one
            minus: what the pictures should not show; several things are separated by commas
            label: only pictures with this label are found; empty for all

        Returns:
            the best pictures: rank, score (cosine), item_id, caption, address of the thumbnail, and, where
            it is known, whether the query is true of the picture (true), else its first false fact (broken);
            approximate says whether better pictures can be missing
        """
        searcher = self._searcher(gallery)
        absent = [text for text in str(minus or "").split(",") if text.strip()]
        hits = searcher.search_text(query, _whole(k), minus=absent, labels=_labels(label))
        known = self.galleries.analysis(self._name(gallery)).query_truth
        truth = known and known.of_query(" no ".join([str(query or ""), *absent]))
        approximate = searcher.approximate()
        return (
            _records(hits, approximate, lambda hit: truth.of(searcher.gallery.row(hit.item_id)) or (None, ""))
            if truth
            else _records(hits, approximate)
        )

    @as_gradio_error
    def search_image(
        self,
        image: str | None,
        k: int = 10,
        gallery: str = "",
        but: str = "",
        instead_of: str = "",
        label: str = "",
        words: str = "",
    ) -> list[HitRecord]:
        """Search captions with a picture (I2T).

        In a gallery without captions, and with a change or a label, pictures are found (I2I).

        Args:
            image: the picture to search with
            k: number of results, 1 to 100
            gallery: name of the gallery; empty for the first one
            but: what the pictures found should show, such as "at night"; empty for no change
            instead_of: what the picture shows instead, such as "by day"
            label: only pictures with this label are found; empty for all
            words: only captions of so many words are found, such as "3-8", "3-" or "-8"; empty for all

        Returns:
            the best results: rank, score (cosine), item_id, caption, address of the thumbnail; approximate
            says whether better ones can be missing
        """
        if not image:
            raise QueryError("There is no picture to search with.")
        searcher = self._searcher(gallery)
        limit = word_range(str(words)) if words else None
        of: Of = "images" if but or label else "captions" if limit else searcher.found_by_image
        hits = searcher.search_image(
            decoded(image), _whole(k), of, but=but, instead_of=instead_of, labels=_labels(label), words=limit
        )
        return _records(hits, searcher.approximate(of))

    @as_gradio_error
    def explain(self, query: str, item_id: str, gallery: str = "") -> ExplanationRecord:
        """Explain the rank of a picture for a query.

        Args:
            query: the words of a search
            item_id: the picture, as search_text names it
            gallery: name of the gallery; empty for the first one

        Returns:
            score (cosine) and rank of the picture; for each word, how much the score drops without it
            (words), and the patch of the picture that fits it best (patches, if the model has them)
        """
        found = explain(self._searcher(gallery), query, str(item_id))
        words: list[Any] = found.words.to_dict("records")
        patches: list[Any] = []
        if found.patches is not None:
            patches = found.patches.drop(columns="shades").to_dict("records")
        return {
            "query": found.query, "score": found.score, "rank": found.rank, "words": words,
            "patches": patches,
        }  # fmt: skip

    @as_gradio_error
    def analyze(self, gallery: str = "") -> AnalysisRecord:
        """Measure a gallery: recall in both directions, rSum, alignment and uniformity, with intervals.

        Args:
            gallery: name of the gallery; empty for the first one

        Returns:
            source, model and size of the gallery; metrics (of retrieval, in percent) and geometry, each with
            value, low and high
        """
        name = self._name(gallery)
        about = self._searcher(name).gallery.manifest
        analysis = self.galleries.analysis(name)
        needed = ["geometry"] if analysis.unpaired else ["geometry", "metrics"]
        for _ in awaited(self.galleries, [name], *needed):  # computed in a process of its own
            pass
        return {
            "gallery": name, "source": about.source, "model": about.model, "images": about.images,
            "captions": about.captions, "note": analysis.unpaired,
            "metrics": [] if analysis.unpaired else _measures(analysis.metrics()),
            "geometry": _measures(analysis.geometry()),
        }  # fmt: skip

    def _searcher(self, gallery: str) -> Searcher:
        return self.galleries.searcher(self._name(gallery), timeout=READY_SECONDS)

    def _name(self, gallery: Any) -> str:
        """Return the gallery's name of a program, which can send any value."""
        return str(gallery or self.galleries.names[0])


def add_endpoints(galleries: Galleries) -> None:
    """Add the endpoints to the open Blocks; types and defaults are those of the functions."""
    endpoints = Endpoints(galleries)
    for function in (endpoints.search_text, endpoints.explain, endpoints.analyze):
        api(function, api_name=function.__name__, concurrency_limit=AT_ONCE)
    # Not by gr.api: the picture arrives as an upload, which only a component reads.
    with gr.Row(visible=False):
        k, *texts, hits = (
            Api(value, python_type_to_json_schema(kind))
            for value, kind in ((10, int), *[("", str)] * 5, (None, list[HitRecord]))
        )
        gr.Button().click(
            endpoints.search_image, [picture_box(), k, *texts], hits, api_name="search_image",
            concurrency_limit=AT_ONCE,
        )  # fmt: skip


def defaults_of(app: gr.Blocks) -> dict[str, list[Any]]:
    """Return the default values of the arguments of every endpoint, None for one that is required."""
    public = [each for each in app.fns.values() if each.api_visibility == "public" and each.api_name]
    return {str(each.api_name): [getattr(block, "value", None) for block in each.inputs] for each in public}


def _whole(number: Any) -> int:
    """Return the number of results that a program sends.

    Raises:
        QueryError: It is no whole number.
    """
    if isinstance(number, bool) or not isinstance(number, int | float) or number != int(number):
        raise QueryError(f"k={str(number)[:20]!r}: send the number of results, from 1 to 100.")
    return int(number)


def _labels(label: Any) -> list[str]:
    return [str(label)] if label else []


def _records(
    hits: list[Hit],
    approximate: bool,
    of_hit: Callable[[Hit], tuple[bool | None, str]] = lambda hit: (None, ""),
) -> list[HitRecord]:
    """Return hits as records; `of_hit` gives `true` and `broken`."""
    return [
        {
            "rank": hit.rank, "score": hit.score, "item_id": hit.item_id, "caption": hit.caption,
            "thumbnail": thumbnail_url(Path(hit.thumbnail)), "true": true, "broken": broken,
            "approximate": approximate,
        }
        for hit in hits
        for true, broken in [of_hit(hit)]
    ]  # fmt: skip


def _measures(table: pd.DataFrame) -> list[Measure]:
    """Return the rows of a table, whose index has the metrics; JSON has no NaN, so it becomes None."""
    return [
        {"metric": str(metric), "value": row["value"], "low": _known(row["low"]), "high": _known(row["high"])}
        for metric, row in table.astype({"value": float}).to_dict("index").items()
    ]


def _known(bound: float) -> float | None:
    return None if math.isnan(bound) else float(bound)
