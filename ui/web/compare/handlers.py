"""The handlers of the Compare page."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import gradio as gr
from PIL import Image

from analysis.comparison.noise import RATE, NoiseBand
from itr_core.errors import QueryError
from itr_core.picturebook.rendering import draw
from itr_core.picturebook.scene_code import decode as decode_scene
from ui.web import html
from ui.web.analysis.jobs import awaited
from ui.web.boundary.served import thumbnail_url
from ui.web.compare import view
from ui.web.compare.comparison import Comparison, check_same_pictures, compare, finder, truth_of
from ui.web.compare.noise import noise_band, seed_pair
from ui.web.compare.request import Request, parse_request, words_of
from ui.web.errors import message_of, show_errors
from ui.web.galleries import Galleries
from ui.web.search.examples import examples
from ui.web.search.picture_box import decoded


class Answer(NamedTuple):
    """Values of the page's outputs, in the order of `ui.web.compare.page`."""

    address: dict[str, Any]
    models: Any
    status: str
    results: str


class CompareHandlers:
    """Handlers over `galleries`.

    Args:
        galleries: all galleries.
        seeds: specs of two models that differ in their seed only, from which the noise band is computed.
    """

    def __init__(self, galleries: Galleries, seeds: Sequence[str]) -> None:
        self.galleries = galleries
        self.seeds = seeds

    def default(self, chosen: str = "") -> list[str]:
        """Return the names of the galleries that are compared with the chosen one: it and one other.

        The other one is a model of the same set, if there is one.
        """
        names = self.galleries.all_names
        first = chosen if chosen in names else names[0]
        own = self.galleries.choice(first).set
        others = [name for name in names if name != first]
        others.sort(key=lambda each: self.galleries.choice(each).set != own)  # stable
        return [first, *others[:1]]

    @property
    def labels(self) -> dict[str, str]:
        """The galleries by name, with the names of their models if all have the same pictures."""
        choices = {name: self.galleries.choice(name) for name in self.galleries.all_names}
        one = len(self.galleries.sets) == 1
        return {name: choice.model if one else name for name, choice in choices.items()}

    def show(self, address: str, picture: str | None) -> Answer:
        """Answer an address of the page.

        Args:
            address: see `ui.web.compare.request.parse_request`. Without a query, the first example of the
                gallery is searched for.
            picture: key of the visitor's picture.

        Returns:
            Results, a note on an error, or the progress of a gallery that is being built. `address` has the
            link of what is shown, and `loading` if the browser should ask again.
        """
        try:
            request = parse_request(address, self.galleries.all_names, self.default)
            for name in request.names:
                if (progress := self.galleries.progress(name)) is not None:
                    loading = {"wanted": address, "loading": True, "at": time.monotonic()}
                    return Answer(loading, request.names, html.waiting(name, *progress), "")
            return self._answer(address, request, picture)
        except Exception as error:
            shown = {"wanted": address, "link": address, "error": True, "query": words_of(address)}
            return Answer(shown, gr.skip(), html.note(message_of(error)), "")

    def _answer(self, address: str, request: Request, picture: str | None) -> Answer:
        gallery = self.galleries.searcher(request.names[0], timeout=0).gallery
        if not (request.words or request.item or request.scene or request.own):
            if not (queries := examples(gallery)):
                raise QueryError("Type a few words to compare the models.")
            request = replace(request, words=queries[0])
        first = request.names[0]
        noise = noise_band(self.galleries, first, self.seeds) if request.words else None
        measuring = noise is None and bool(seed_pair(self.galleries, first, self.seeds))
        find = finder(request, _image(request, picture))
        comparison = compare(self.galleries, request, find, noise)
        truth = truth_of(self.galleries, request)
        thumbnail = thumbnail_url(gallery.thumbnail(request.item)) if request.item else ""
        heading = "Pictures like yours" if request.own else "Pictures like this one"
        if request.words:
            heading = f"Pictures for “{html.shortened(request.words)}”"
        return Answer(
            {
                "wanted": address, "link": request.link(), "query": request.words, "picture": thumbnail,
                "names": request.names, "hidden": request.hidden, "voted": self._voted(request),
                "models": [self.labels[name] for name in request.names],
                "asked": next(iter(request.query.values())),
                "noise": noise is not None,
            },
            request.names,
            _status(request, comparison, len(gallery), noise, measuring, truth is not None),
            view.columns(comparison, request, gallery, heading, truth, self.labels),
        )  # fmt: skip

    def _voted(self, request: Request) -> str:
        """Return the model that the visitor voted for, "no difference", or "" without a vote."""
        if request.vote.isdecimal():
            return self.labels[request.columns[int(request.vote)]]
        return "no difference" if request.vote else ""

    @show_errors(lambda message: (html.note(message), "", ""))
    def measure(self, address: str) -> Iterator[tuple[Any, str, str]]:
        """Measure all captions with the models of an address.

        Yields the progress, the queries that tell the models apart, and the measures.
        """
        request = parse_request(address, self.galleries.all_names, self.default)
        for progress in self.galleries.await_ready(request.names):
            yield html.waiting(*progress), "", ""
        check_same_pictures(self.galleries, request.names)
        analyses, problems = self.galleries.paired(request.names)
        if problems:
            raise QueryError(" ".join(problems))
        for name, work in awaited(self.galleries, request.names, "compared"):
            yield html.render("computing.html", what="Ranking all captions", name=name, work=work), "", ""
        captions = next(iter(analyses.values())).captions
        telling = view.telling([each.compared() for each in analyses.values()], captions)
        shown = "" if request.hidden else view.measures(analyses, self.labels)
        yield "", telling, shown

    @show_errors(html.note)
    def measure_noise(self, address: str) -> Iterator[str]:
        """Measure how much two seeds of one method differ, after `measure`. Yields the progress."""
        request = parse_request(address, self.galleries.all_names, self.default)
        loaded = all(map(self.galleries.loaded, request.names))  # if not, `measure` has said why
        pair = seed_pair(self.galleries, request.names[0], self.seeds) if loaded else []
        for progress in self.galleries.await_ready(pair):
            yield html.waiting(*progress)
        for name, work in awaited(self.galleries, pair, "compared"):
            what = "Measuring how much two seeds differ, for the noise band"
            yield html.render("computing.html", what=what, name=name, work=work)
        yield ""


def _image(request: Request, key: str | None) -> Image.Image | None:
    """Return the picture of the visitor or of a scene; None if the query is neither."""
    if not request.own:
        return draw(decode_scene(request.scene)) if request.scene else None
    if not key:
        raise QueryError("Your picture is not on the server any more. Choose it again.")
    return decoded(key)


def _status(
    request: Request, comparison: Comparison, size: int, noise: NoiseBand | None, measuring: bool, truth: bool
) -> str:
    return html.render(
        "compare_status.html",
        milliseconds=1000 * comparison.seconds, size=size, models=len(request.names), request=request,
        link=request.link(), truth=truth, rate=RATE,
        limit=None if noise is None else noise.limit(request.words), measuring=measuring,
    )  # fmt: skip
