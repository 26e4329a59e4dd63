"""The searches of the search page."""

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from analysis.confidence import Confidence
from analysis.corrections import Part, corrected
from analysis.gallery_analysis import GalleryAnalysis
from analysis.verdict import verdict_on_picture, verdict_on_query
from itr_core.errors import QueryError
from itr_core.picturebook.rendering import draw
from itr_core.picturebook.scene_code import decode as decode_scene
from itr_core.retrieval.composed import split_minus
from itr_core.retrieval.filters import Of, word_range
from itr_core.retrieval.searcher import MAX_RESULTS, Hit, Searcher
from ui.web import html
from ui.web.boundary.served import thumbnail_url
from ui.web.errors import message_of
from ui.web.galleries import Galleries
from ui.web.html import shortened
from ui.web.own.visitors import OWN, own_of_event
from ui.web.search.composed import (
    Words,
    caption_words_of,
    change_of,
    label_parameter,
    labels_of,
    readings,
    refine_captions,
    refine_picture,
    refine_words,
)
from ui.web.search.confidence import line_on_photos, line_on_picture, line_on_query
from ui.web.search.examples import HARD, examples
from ui.web.search.links import parameters
from ui.web.search.marks import caption_marks, options_of, picture_marks
from ui.web.search.picture_box import OWN_PICTURE, decoded

DEFAULT_COUNT = 12
FEWEST = 4
"""Pictures that are shown even if they are unlikely to match."""


class Answer(NamedTuple):
    """Values of the page's outputs, in the order of `ui.web.search.page`."""

    address: dict[str, Any]
    count: Any
    examples: Any
    status: str
    results: str


class Found(NamedTuple):
    """The outcome of a search.

    Attributes:
        link: The search's parameters in an address, without `k` and `g`.
        query: Text of the query.
        picture: Address of the query's picture, if it is one of the gallery.
        notes: Warnings.
        seconds: Duration.
        results: HTML of the results.
        verdict: Values of the verdict in `status.html`.
        options: Options of later searches that this one sets.
        meant: The query that was probably meant.
    """

    link: dict[str, str]
    query: str
    picture: str
    notes: list[str]
    seconds: float
    results: str
    verdict: dict[str, str] | None = None
    options: Mapping[str, str] = {}
    meant: Sequence[Part] = ()


class SearchHandlers:
    """Handlers over `galleries`."""

    def __init__(self, galleries: Galleries) -> None:
        self.galleries = galleries

    def show(self, address: str, picture: str | None) -> Answer:
        """Answer an address of the page.

        Args:
            address: Query string with one of `q` (T2I), `item` (I2T and I2I for a picture of the gallery),
                `scene` (the same for a scene of the stage), `picture` (the same for the visitor's picture) or
                `surprise`, and with `k` and `g`. Without the first five, the first example of the gallery is
                searched for. The string comes from the browser and can be anything.
            picture: Key of the visitor's picture.

        Returns:
            Results, a note on an error, or the progress of a gallery that is being built. `address` has the
            link of what is shown, valid `options`, and `loading` if the browser should ask again.
        """
        asked: dict[str, str] = {}
        options: dict[str, str] = {}
        skipped = gr.skip()
        try:
            asked = parameters(address)
            gallery, count = asked.get("g") or self.galleries.names[0], _count(asked.get("k", ""))
            progress = self.galleries.progress(gallery)
            named = len(self.galleries.all_names) > 1 or gallery == OWN
            options = {"k": str(count)} | ({"g": gallery} if named else {})
            options |= {"minus": asked["minus"]} if asked.get("minus") in ("0", "1") else {}
            options |= options_of(asked)
            if progress is not None:
                loading = {"wanted": address, "options": options, "loading": True, "at": time.monotonic()}
                status = html.waiting(gallery, *progress)
                return Answer(loading, count, skipped, status, "")
            searcher = self.galleries.searcher(gallery, timeout=0)
            found = self._search(searcher, gallery, asked, picture, count)
            if gallery == OWN:
                found = found._replace(verdict=line_on_photos(own_of_event().photos, len(searcher.gallery)))
            link = {**found.link, **options}
            return Answer(
                {
                    "wanted": address, "options": {**options, **found.options},
                    "link": html.share_link(**link), "query": found.query, "picture": found.picture,
                },
                count, html.render("examples.html", examples=examples(searcher.gallery), hard=HARD),
                _status(searcher, gallery, found, link, comparable=self._comparable(gallery)),
                found.results,
            )  # fmt: skip
        except Exception as error:
            shown = {"wanted": address, "options": options, "link": address, "query": asked.get("q", "")}
            return Answer(shown, skipped, skipped, html.note(message_of(error)), "")

    def _comparable(self, gallery: str) -> bool:
        return len(self.galleries.all_names) > 1 and gallery != OWN

    def _search(
        self, searcher: Searcher, gallery: str, asked: dict[str, str], picture: str | None, count: int
    ) -> Found:
        if "q" in asked:
            return self._by_words(searcher, gallery, asked, count)
        if "item" in asked:
            return self._by_item(searcher, gallery, asked, count)
        if "scene" in asked:
            return _by_scene(searcher, asked, count)
        if "picture" in asked:
            return _by_picture(searcher, picture, asked, count, self.galleries.confidence(gallery))
        return self._by_example(searcher, gallery, asked, count)

    def _by_example(self, searcher: Searcher, gallery: str, asked: dict[str, str], count: int) -> Found:
        """Search with the gallery's first example, or with anything of it if a surprise is asked for."""
        if "surprise" not in asked and (queries := examples(searcher.gallery)):
            return self._by_words(searcher, gallery, asked | {"q": queries[0]}, count)
        items = searcher.gallery.items
        item = items.iloc[random.randrange(len(items))]
        if item["captions"]:
            return self._by_words(searcher, gallery, asked | {"q": random.choice(item["captions"])}, count)
        return self._by_item(searcher, gallery, asked | {"item": item["image_id"]}, count)

    def _by_words(self, searcher: Searcher, gallery: str, asked: dict[str, str], count: int) -> Found:
        """T2I: pictures for a query, in both ways the first time that it says what should be absent."""
        query, both = asked["q"], readings(asked)
        labels, notes = labels_of(searcher, asked)
        start = time.perf_counter()
        hits = [searcher.search_text(each.text, count, minus=each.minus, labels=labels) for each in both]
        seconds = time.perf_counter() - start
        if labels and not any(hits):
            notes.append("No picture here has all of these labels.")
        grids, verdicts = zip(
            *(
                self._grid(searcher, gallery, asked, each, found, len(both) > 1)
                for each, found in zip(both, hits, strict=True)
            ),
            strict=True,
        )
        results = html.render("two_grids.html", grids=grids) if len(both) > 1 else grids[0]
        label = label_parameter(labels)
        return Found(
            {"q": query} | label, query, "", notes + self._notes(searcher, query), seconds,
            refine_words(searcher, both, labels) + results,
            verdict=verdicts[-1], meant=self._meant(searcher, gallery, query),
            options=label | ({"minus": "0"} if len(both) > 1 else {}),
        )  # fmt: skip

    def _grid(
        self,
        searcher: Searcher,
        gallery: str,
        asked: dict[str, str],
        words: Words,
        hits: list[Hit],
        one_of_two: bool,
    ) -> tuple[str, dict[str, str] | None]:
        """Return the pictures of a query and the verdict on them."""
        embedding = searcher.embed_text(words.text, words.minus)
        scores = np.array([hit.score for hit in hits])
        unseen = searcher.encoder.unseen_words(words.text)
        verdict = verdict_on_query(self.galleries.confidence(gallery), words.text, embedding, scores, unseen)
        hint = "Under each picture: the one of its captions that is closest to your words."
        shows_hint = _captioned(searcher) and not one_of_two
        grid = html.pictures(
            hits, f"Pictures for {words.heading}", hint=hint if shows_hint else "",
            likely=max(FEWEST, verdict.likely) if verdict else None,
            why=("1" if words.minus else "0") if one_of_two else "",
            truth=picture_marks(self.galleries.analysis(gallery), embedding, hits, asked),
        )  # fmt: skip
        return grid, line_on_query(verdict, negated=bool(split_minus(words.text).minus))

    def _meant(self, searcher: Searcher, gallery: str, query: str) -> list[Part]:
        """Return the query with known words for unknown ones, if it has any."""
        analysis = self.galleries.analysis(gallery)
        closed = analysis.query_truth is not None and analysis.query_truth.closed
        return corrected(query, searcher.encoder.unseen_words(query), analysis.known_words, closed=closed)

    def _by_item(self, searcher: Searcher, gallery: str, asked: dict[str, str], count: int) -> Found:
        """I2T and I2I for a picture of the gallery."""
        item, analysis = asked["item"], self.galleries.analysis(gallery)
        picture = searcher.gallery.image_embeddings[searcher.gallery.row(item)]
        link = {name: asked[name] for name in ("item", "only") if asked.get(name)}
        found = _by_embedding(searcher, picture, asked, link, count, item, analysis)
        return found._replace(picture=thumbnail_url(searcher.gallery.thumbnail(item)))

    def _notes(self, searcher: Searcher, query: str) -> list[str]:
        kept, lost = searcher.encoder.split_at_context(query)
        notes = []
        if lost:
            notes.append(
                f"The query is too long for the model, which read it up to “… {kept[-40:]}” and ignored "
                f"“{shortened(lost)}”."
            )
        if unseen := searcher.encoder.unseen_words(kept):
            notes.append(
                f"The model's training captions do not contain {_listing(unseen)}, so it can only guess the "
                "meaning."
            )
        return notes


def _count(number: str) -> int:
    """Return the number of results of an address."""
    if not number:
        return DEFAULT_COUNT
    count = int(number) if number.isascii() and number.isdecimal() and len(number) < 5 else 0
    if not 1 <= count <= MAX_RESULTS:
        raise QueryError(f"k={shortened(number, 20)}: the number of results must be from 1 to {MAX_RESULTS}.")
    return count


def _by_picture(
    searcher: Searcher, key: str | None, asked: dict[str, str], count: int, confidence: Confidence | None
) -> Found:
    """I2T and I2I for an uploaded, pasted or photographed picture."""
    if not key:
        raise QueryError("Your picture is not on the server any more. Choose it again.")
    embedding = searcher.embed_image(decoded(key))
    found = _by_embedding(searcher, embedding, asked, {"picture": OWN_PICTURE}, count)
    drawings = searcher.gallery.manifest.source.partition(":")[0] == "picturebook"
    line = line_on_picture(verdict_on_picture(confidence, embedding, count), drawings=drawings)
    return found._replace(notes=[*found.notes, "A search with your own picture has no link."], verdict=line)


def _by_scene(searcher: Searcher, asked: dict[str, str], count: int) -> Found:
    """I2T and I2I for the picture of a scene, such as one that a visitor has edited on the stage."""
    picture = searcher.embed_image(draw(decode_scene(asked["scene"])))
    found = _by_embedding(searcher, picture, asked, {"scene": asked["scene"]}, count)
    return found._replace(notes=[*found.notes, "This searches with the picture of a scene of the stage."])


def _by_embedding(
    searcher: Searcher,
    picture: np.ndarray,
    asked: dict[str, str],
    link: dict[str, str],
    count: int,
    exclude: str = "",
    analysis: GalleryAnalysis | None = None,
) -> Found:
    """I2T and I2I for the embedding (d,) of a picture, or I2I for a picture with a change.

    If the picture is `exclude` of the gallery with this analysis, the captions found are marked.
    """
    labels, notes = labels_of(searcher, asked)
    start = time.perf_counter()
    change = change_of(searcher, picture, asked)
    query = searcher.embed_changed(picture, *change)
    texts: list[Hit] = []
    words = ""
    if _captioned(searcher) and not (change.but or asked.get("only")):
        words, more_notes = caption_words_of(searcher, asked)
        limit = word_range(words) if words else None
        texts = searcher.search_embedding(query, count, "captions", words=limit)
        notes += more_notes
    by: Of | None = None if change.but else "images"
    pictures = searcher.search_embedding(query, count, by=by, labels=labels, exclude=exclude or None)
    seconds = time.perf_counter() - start
    hint = "Under each picture: the one of its captions that is closest to the picture you search with."
    marks = caption_marks(analysis, exclude, texts) if analysis else []
    sections = []
    if texts:
        sections = [refine_captions(searcher, words), html.captions(texts, "Matching captions", marks)]
    sections.append(refine_picture(searcher, change, link, labels))
    if pictures:
        heading = f"Like this, but “{shortened(change.but)}”" if change.but else "Similar pictures"
        heading += f" instead of “{shortened(change.instead)}”" if change.instead else ""
        sections.append(html.pictures(pictures, heading, hint=hint if _captioned(searcher) else "", why=""))
    else:
        sections.append(html.note("There is no other picture here."))
    changed = {name: value for name, value in change._asdict().items() if value}
    filters = label_parameter(labels) | ({"words": words} if words else {})
    return Found(link | changed | filters, "", "", notes, seconds, "".join(sections), options=filters)


def _captioned(searcher: Searcher) -> bool:
    return searcher.found_by_image == "captions"


def _status(searcher: Searcher, gallery: str, found: Found, link: dict[str, str], *, comparable: bool) -> str:
    words = {name: link[name] for name in ("q", "g") if name in link} if "q" in link else {}
    return html.status(
        seconds=found.seconds, gallery=gallery, size=len(searcher.gallery),
        approximate=searcher.approximate(), notes=found.notes,
        verdict=found.verdict, meant=found.meant,
        link="" if "picture" in link or gallery == OWN else html.share_link(**link),
        map_link=f"analysis{html.share_link(tab='map', **words)}" if words else "",
        compare_link=f"compare{html.share_link(**words)}" if words and comparable else "",
    )  # fmt: skip


def _listing(words: list[str], longest: int = 6) -> str:
    quoted = [f"“{shortened(word, 30)}”" for word in words[:longest]]
    if len(words) > longest:
        quoted.append(f"{len(words) - longest} more words")
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
