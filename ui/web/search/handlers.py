"""Event handlers of the search page and its two API endpoints; each returns the values of the outputs."""

import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from PIL import Image

from itr_core.errors import QueryError
from itr_core.pairs.decoding import decode_upload
from itr_core.retrieval.searcher import Hit, Of, Searcher
from ui.web import html
from ui.web.boundary.served import thumbnail_path, thumbnail_url
from ui.web.boundary.uploads import UPLOADS
from ui.web.errors import as_gradio_error, show_errors
from ui.web.galleries import Galleries

EXAMPLES = (
    "two dogs in a meadow",
    "red car at night",
    "a cat sleeping on a sofa",
    "hot-air balloon over snowy mountains",
    "penguins and a snowman",
    "lighthouse at sunset",
)
UPLOAD_SIDE = 1024
"""Large JPEG uploads are decoded at a fraction of their size, but not below this shorter side in pixels."""
FALSE_ALARM_RATE = 0.05
"""Share of the queries with a match in the gallery that are nevertheless reported as low confidence."""


class PageOutputs(NamedTuple):
    """Values of the page's outputs, in the order of `ui.web.search.page`."""

    query: Any
    picture: Any
    gallery: Any
    status: str
    results: str
    timer: gr.Timer


def _outputs(
    query: Any = "", picture: Any = None, status: str = "", results: str = "", *, waiting: bool = False
) -> PageOutputs:
    return PageOutputs(query, picture, gr.skip(), status, results, gr.Timer(active=waiting))


errors_in_status = show_errors(lambda message: _outputs(gr.skip(), status=html.note(message)))


class SearchHandlers:
    """Handlers over `galleries`."""

    def __init__(self, galleries: Galleries) -> None:
        self.galleries = galleries

    @errors_in_status
    def by_words(self, query: str, count: int, gallery: str) -> PageOutputs:
        """T2I: pictures for a query, with notes on words the model cannot use and on low confidence."""
        searcher = self._searcher(gallery)
        start = time.perf_counter()
        hits = searcher.search_text(query, count)
        seconds = time.perf_counter() - start
        notes = self._notes(searcher, gallery, query, hits)
        status = self._status(searcher, gallery, seconds, notes, q=query, k=count)
        return _outputs(query, None, status, html.pictures(hits, f"Pictures for “{_shortened(query)}”"))

    @errors_in_status
    def by_picture(self, key: str | None, count: int, gallery: str) -> PageOutputs:
        """I2T and I2I for an uploaded, pasted or photographed picture."""
        if not key:  # the visitor removed the picture
            return _outputs(status=html.note("Type a query, or choose a picture."))
        searcher = self._searcher(gallery)
        image = _decoded(key)
        start = time.perf_counter()
        results = _both(searcher, lambda of: searcher.search_image(image, count, of))
        seconds = time.perf_counter() - start
        notes = ["A search with your own picture has no link."]
        return _outputs("", gr.skip(), self._status(searcher, gallery, seconds, notes), results)

    @errors_in_status
    def by_item(self, item: str, count: int, gallery: str) -> PageOutputs:
        """I2T and I2I for a picture of the gallery."""
        searcher = self._searcher(gallery)
        start = time.perf_counter()
        results = _both(searcher, lambda of: searcher.search_item(item, count, of))
        seconds = time.perf_counter() - start
        thumbnail = searcher.gallery.thumbnail(item)
        status = self._status(searcher, gallery, seconds, item=item, k=count)
        return _outputs("", thumbnail_url(thumbnail), status, results)

    def by_click(self, count: int, gallery: str, event: gr.EventData) -> PageOutputs:
        """Search with the clicked result. The browser sends its id or caption, which may be anything."""
        item, query = html.event_value(event, "item"), html.event_value(event, "query")
        if isinstance(query, str):
            return self.by_words(query, count, gallery)
        return self.by_item(str(item), count, gallery)

    @errors_in_status
    def surprise(self, count: int, gallery: str) -> PageOutputs:
        """Search with a random caption of the gallery."""
        items = self._searcher(gallery).gallery.items
        captions = [
            caption for captions in items["captions"].sample(min(20, len(items))) for caption in captions
        ]
        return self.by_words(random.choice(captions or EXAMPLES), count, gallery)

    def repeat(self, query: str, picture: str | None, count: int, gallery: str) -> PageOutputs:
        """Repeat the search with another number of results or in another gallery."""
        return self.by_picture(picture, count, gallery) if picture else self.by_words(query, count, gallery)

    @errors_in_status
    def on_load(self, count: int, gallery: str, request: gr.Request) -> PageOutputs:
        """Run the search of the link (`?q=` or `?item=`, with `k` and `g`), else the first example."""
        parameters = request.query_params
        name = parameters.get("g", gallery)
        progress = self.galleries.progress(name)
        if progress is not None:
            return _outputs(parameters.get("q", ""), None, html.waiting(name, *progress), waiting=True)
        k = int(parameters["k"]) if parameters.get("k", "").isdecimal() else count
        if item := parameters.get("item"):
            outputs = self.by_item(item, k, name)
        else:
            query = parameters.get("q") or EXAMPLES[0]
            outputs = self.by_words(query, k, name)._replace(query=query)
        return outputs._replace(gallery=name)

    @as_gradio_error
    def search_text(self, query: str, k: int = 10, gallery: str = "") -> list[dict[str, Any]]:
        """Search pictures with words (T2I).

        Args:
            query: what the picture should show, in the language of the gallery's captions
            k: number of pictures, 1 to 100
            gallery: name of the gallery; empty for the first one

        Returns:
            the best pictures: rank, score (cosine), item_id, caption, address of the thumbnail
        """
        return _as_json(self._searcher(gallery, timeout=60).search_text(query, int(k)))

    @as_gradio_error
    def search_image(self, image: str | None, k: int = 10, gallery: str = "") -> list[dict[str, Any]]:
        """Search captions with a picture (I2T); in a gallery without captions, pictures (I2I).

        Args:
            image: the picture to search with
            k: number of results, 1 to 100
            gallery: name of the gallery; empty for the first one

        Returns:
            the best results: rank, score (cosine), item_id, caption, address of the thumbnail
        """
        if not image:
            raise QueryError("There is no picture to search with.")
        return _as_json(self._searcher(gallery, timeout=60).search_image(_decoded(image), int(k)))

    def _searcher(self, gallery: str, timeout: float = 0) -> Searcher:
        return self.galleries.searcher(gallery or self.galleries.names[0], timeout)

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
        if (rate := self._share_scoring_lower(searcher, gallery, query, hits)) <= FALSE_ALARM_RATE:
            share = "under 1 %" if rate < 0.01 else f"about {100 * rate:.0f} %"
            notes.append(f"Low confidence: {share} of queries with a match here score this low.")
        return notes

    def _share_scoring_lower(self, searcher: Searcher, gallery: str, query: str, hits: list[Hit]) -> float:
        """Return the share of matching queries with such a low best score; 1 if not known (yet)."""
        calibration = self.galleries.calibration(gallery or self.galleries.names[0])
        if calibration is None or not hits:
            return 1.0
        return float(calibration.p_value(searcher.embed_text(query)[None], np.array([hits[0].score]))[0])

    def _status(
        self,
        searcher: Searcher,
        gallery: str,
        seconds: float,
        notes: list[str] | None = None,
        **link: str | int,
    ) -> str:
        if link and len(self.galleries.names) > 1:
            link["g"] = gallery
        on_map = {name: link[name] for name in ("q", "g") if name in link} if "q" in link else {}
        return html.status(
            seconds=seconds, gallery=gallery, size=len(searcher.gallery),
            link=html.share_link(**link) if link else "", notes=notes or [],
            map_link=f"analysis{html.share_link(**on_map)}" if on_map else "",
        )  # fmt: skip


def _decoded(key: str) -> Image.Image:
    """Decode an upload, or a thumbnail that the picture box shows, from its bytes: no error names a path."""
    thumbnail = thumbnail_path(key)
    content = UPLOADS.read(key) if thumbnail is None else thumbnail.read_bytes()
    return decode_upload(content, min_side=UPLOAD_SIDE)


def _both(searcher: Searcher, find: Callable[[Of], list[Hit]]) -> str:
    """Return the captions, if the gallery has any, and the pictures that a picture finds."""
    texts = find("captions") if searcher.found_by_image == "captions" else []
    pictures = find("images")
    sections = [html.captions(texts, "Matching captions")] if texts else []
    sections += [html.pictures(pictures, "Similar pictures")] if pictures else []
    return "".join(sections) or html.note("This gallery contains no other picture.")


def _as_json(hits: list[Hit]) -> list[dict[str, Any]]:
    return [vars(hit) | {"thumbnail": thumbnail_url(hit.thumbnail)} for hit in hits]


def _shortened(text: str, longest: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _listing(words: list[str], longest: int = 6) -> str:
    quoted = [f"“{_shortened(word, 30)}”" for word in words[:longest]]
    if len(words) > longest:
        quoted.append(f"{len(words) - longest} more words")
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
