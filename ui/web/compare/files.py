"""Ranks of all captions as files to download."""

from collections.abc import Callable, Iterator, Mapping
from math import ceil
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from analysis.comparison.ranking_files import ranks_csv, trec_judgments, trec_run
from analysis.gallery_analysis import GalleryAnalysis
from itr_core.errors import PairscopeError, QueryError
from ui.web.boundary.rates import Rate, TokenBuckets
from ui.web.boundary.visitors import visitor
from ui.web.compare.comparison import check_same_pictures
from ui.web.errors import message_of
from ui.web.galleries import Galleries

RATE = Rate(per_second=0.2, burst=8)
"""Files of one visitor."""
Write = Callable[[Mapping[str, GalleryAnalysis]], Iterator[str]]


def _run(analyses: Mapping[str, GalleryAnalysis]) -> Iterator[str]:
    """Return the runs of all models, one after the other."""
    return (block for name, analysis in analyses.items() for block in trec_run(analysis, name))


def _judgments(analyses: Mapping[str, GalleryAnalysis]) -> Iterator[str]:
    return trec_judgments(next(iter(analyses.values())))


FILES: dict[str, tuple[str, Write]] = {
    "ranks.csv": ("text/csv", ranks_csv),
    "run.trec": ("text/plain", _run),
    "judgments.trec": ("text/plain", _judgments),
}
"""Name of a file -> its type, and what writes it."""


def ranking_routes(galleries: Galleries) -> list[Route]:
    """Return the routes `/rankings/FILE?m=GALLERY&m=...`, which answer once the page has measured."""
    buckets = TokenBuckets(RATE)

    def answer(request: Request) -> Response:
        file = request.path_params["file"]
        if file not in FILES:
            return JSONResponse({"detail": "Not Found"}, 404)
        if seconds := buckets.wait(visitor(request.scope)):
            return JSONResponse(
                {"detail": f"These are many files at once. Wait {ceil(seconds)} s."},
                429,
                {"Retry-After": str(ceil(seconds))},
            )
        try:
            analyses = _measured(galleries, list(dict.fromkeys(request.query_params.getlist("m"))))
        except PairscopeError as error:
            return JSONResponse({"detail": message_of(error)}, 400)
        kind, write = FILES[file]
        name = quote(f"{'-'.join(analyses)}-{file}", safe="")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        return StreamingResponse(write(analyses), media_type=kind, headers=headers)

    return [Route("/rankings/{file}", answer)]


def _measured(galleries: Galleries, names: list[str]) -> dict[str, GalleryAnalysis]:
    """Return the analyses of galleries by name.

    Raises:
        QueryError: there is none, a name is unknown, the galleries contain different pictures, or their
            captions are not ranked yet.
    """
    if not 0 < len(names) <= 6:
        raise QueryError(f"{len(names)} galleries are named; name 1 to 6, such as ?m=NAME.")
    for name in names:
        if not galleries.loaded(name) or not galleries.analysis(name).results.known("compared"):
            raise QueryError(f"The captions of {name} are not ranked yet. Open it on the Compare page first.")
    check_same_pictures(galleries, names)
    return {name: galleries.analysis(name) for name in names}
