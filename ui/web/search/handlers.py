"""The searches of the search page."""

import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import gradio as gr

from analysis.confidence import Confidence
from itr_core.errors import QueryError
from itr_core.retrieval.searcher import MAX_RESULTS, Hit, Of, Searcher
from ui.web import html
from ui.web.boundary.served import thumbnail_url
from ui.web.errors import message_of
from ui.web.galleries import Galleries
from ui.web.search.confidence import picture_notes, query_notes
from ui.web.search.examples import examples
from ui.web.search.picture_box import decoded

DEFAULT_COUNT = 12
OWN_PICTURE = "own"
"""Value of the parameter `picture`: the picture of the visitor, which is in no link."""


class Answer(NamedTuple):
    """Values of the page's outputs, in the order of `ui.web.search.page`."""

    address: dict[str, Any]
    count: Any
    gallery: Any
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
    """

    link: dict[str, str]
    query: str
    picture: str
    notes: list[str]
    seconds: float
    results: str


class SearchHandlers:
    """Handlers over `galleries`."""

    def __init__(self, galleries: Galleries) -> None:
        self.galleries = galleries

    def show(self, address: str, picture: str | None) -> Answer:
        """Answer an address of the page.

        Args:
            address: Query string with one of `q` (T2I), `item` (I2T and I2I for a picture of the gallery),
                `picture` (the same for the visitor's picture) or `surprise`, and with `k` and `g`. Without
                the first four, the first example of the gallery is searched for. The string comes from the
                browser and can be anything.
            picture: Key of the visitor's picture.

        Returns:
            Results, a note on an error, or the progress of a gallery that is being built. `address` has the
            link of what is shown, valid `options`, and `loading` if the browser should ask again.
        """
        asked: dict[str, str] = {}
        options: dict[str, str] = {}
        skipped = gr.skip()
        try:
            asked = _parameters(address)
            gallery, count = asked.get("g") or self.galleries.names[0], _count(asked.get("k", ""))
            progress = self.galleries.progress(gallery)
            options = {"k": str(count)} | ({"g": gallery} if len(self.galleries.names) > 1 else {})
            if progress is not None:
                loading = {"wanted": address, "options": options, "loading": True, "at": time.monotonic()}
                status = html.waiting(gallery, *progress)
                return Answer(loading, count, gallery, skipped, status, "")
            searcher = self.galleries.searcher(gallery, timeout=0)
            found = self._search(searcher, gallery, asked, picture, count)
            link = {**found.link, **options}
            return Answer(
                {
                    "wanted": address, "options": options, "link": html.share_link(**link),
                    "query": found.query, "picture": found.picture,
                },
                count, gallery, html.render("examples.html", examples=examples(searcher.gallery)),
                _status(searcher, gallery, found, link), found.results,
            )  # fmt: skip
        except Exception as error:
            shown = {"wanted": address, "options": options, "link": address, "query": asked.get("q", "")}
            return Answer(shown, skipped, skipped, skipped, html.note(message_of(error)), "")

    def _search(
        self, searcher: Searcher, gallery: str, asked: dict[str, str], picture: str | None, count: int
    ) -> Found:
        if "q" in asked:
            return self._by_words(searcher, gallery, asked["q"], count)
        if "item" in asked:
            return _by_item(searcher, asked["item"], count)
        if "picture" in asked:
            return _by_picture(searcher, picture, count, self.galleries.confidence(gallery))
        if "surprise" not in asked and (queries := examples(searcher.gallery)):
            return self._by_words(searcher, gallery, queries[0], count)
        items = searcher.gallery.items
        item = items.iloc[random.randrange(len(items))]
        if item["captions"]:
            return self._by_words(searcher, gallery, random.choice(item["captions"]), count)
        return _by_item(searcher, item["image_id"], count)

    def _by_words(self, searcher: Searcher, gallery: str, query: str, count: int) -> Found:
        """T2I: pictures for a query, with notes on words the model cannot use and on low confidence."""
        start = time.perf_counter()
        hits = searcher.search_text(query, count)
        seconds = time.perf_counter() - start
        notes = self._notes(searcher, gallery, query, hits)
        hint = "Under each picture: the one of its captions that is closest to your words."
        results = html.pictures(
            hits, f"Pictures for “{_shortened(query)}”", hint=hint if _captioned(searcher) else ""
        )
        return Found({"q": query}, query, "", notes, seconds, results)

    def _notes(self, searcher: Searcher, gallery: str, query: str, hits: list[Hit]) -> list[str]:
        kept, lost = searcher.encoder.split_at_context(query)
        notes = []
        if lost:
            notes.append(
                f"The query is too long for the model, which read it up to “… {kept[-40:]}” and ignored "
                f"“{_shortened(lost)}”."
            )
        if unseen := searcher.encoder.unseen_words(kept):
            notes.append(
                f"The model's training captions do not contain {_listing(unseen)}, so it can only guess the "
                "meaning."
            )
        confidence = self.galleries.confidence(gallery)
        return notes + query_notes(confidence, searcher, query, hits)


def _parameters(address: Any) -> dict[str, str]:
    """Return the parameters of an address; of equal names the last one counts."""
    try:
        return dict(parse_qsl(str(address).lstrip("?"), keep_blank_values=True, max_num_fields=20))
    except ValueError as error:
        raise QueryError("This address has too many parameters.") from error


def _count(number: str) -> int:
    """Return the number of results of an address."""
    if not number:
        return DEFAULT_COUNT
    count = int(number) if number.isascii() and number.isdecimal() and len(number) < 5 else 0
    if not 1 <= count <= MAX_RESULTS:
        raise QueryError(
            f"k={_shortened(number, 20)}: the number of results must be from 1 to {MAX_RESULTS}."
        )
    return count


def _by_item(searcher: Searcher, item: str, count: int) -> Found:
    """I2T and I2I for a picture of the gallery."""
    start = time.perf_counter()
    results = _both(searcher, lambda of: searcher.search_item(item, count, of))
    seconds = time.perf_counter() - start
    thumbnail = thumbnail_url(searcher.gallery.thumbnail(item))
    return Found({"item": item}, "", thumbnail, [], seconds, results)


def _by_picture(searcher: Searcher, key: str | None, count: int, confidence: Confidence | None) -> Found:
    """I2T and I2I for an uploaded, pasted or photographed picture."""
    if not key:
        raise QueryError("Your picture is not on the server any more. Choose it again.")
    image = decoded(key)
    start = time.perf_counter()
    embedding = searcher.embed_image(image)
    results = _both(searcher, lambda of: searcher.search_embedding(embedding, count, of))
    seconds = time.perf_counter() - start
    notes = [*picture_notes(confidence, embedding), "A search with your own picture has no link."]
    return Found({"picture": OWN_PICTURE}, "", "", notes, seconds, results)


def _captioned(searcher: Searcher) -> bool:
    return searcher.found_by_image == "captions"


def _status(searcher: Searcher, gallery: str, found: Found, link: dict[str, str]) -> str:
    on_map = {"tab": "map"} | {name: link[name] for name in ("q", "g") if name in link}
    return html.status(
        seconds=found.seconds, gallery=gallery, size=len(searcher.gallery), notes=found.notes,
        link="" if "picture" in link else html.share_link(**link),
        map_link=f"analysis{html.share_link(**on_map)}" if "q" in link else "",
    )  # fmt: skip


def _both(searcher: Searcher, find: Callable[[Of], list[Hit]]) -> str:
    """Return the captions, if the gallery has any, and the pictures that a picture finds."""
    texts = find("captions") if _captioned(searcher) else []
    pictures = find("images")
    hint = "Under each picture: the one of its captions that is closest to the picture you search with."
    sections = [html.captions(texts, "Matching captions")] if texts else []
    sections += [html.pictures(pictures, "Similar pictures", hint=hint if texts else "")] if pictures else []
    return "".join(sections) or html.note("This gallery contains no other picture.")


def _shortened(text: str, longest: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _listing(words: list[str], longest: int = 6) -> str:
    quoted = [f"“{_shortened(word, 30)}”" for word in words[:longest]]
    if len(words) > longest:
        quoted.append(f"{len(words) - longest} more words")
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
