"""What the search page answers to whatever a visitor does: one value for each of its outputs. No layout."""

import random
import time
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from PIL import Image

from itr_core.errors import ImageError, PairscopeError, QueryError
from itr_core.pairs.decoding import decode_image
from itr_core.retrieval.searcher import Hit, Searcher
from ui.web import html
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
"""Large JPEG uploads are decoded at a fraction of their size, but not below this many pixels a side."""
UNLIKELY = 0.05
"""The share of matching queries of which it is wrongly said that perhaps nothing matches."""


class Page(NamedTuple):
    """The page's outputs, in the order in which `search.py` lists them."""

    query: str
    picture: str | None
    gallery: Any
    status: str
    results: str
    tick: gr.Timer


class SearchHandlers:
    """Event handlers over the galleries of a shelf."""

    def __init__(self, galleries: Galleries) -> None:
        self.galleries = galleries

    def by_words(self, query: str, count: int, gallery: str) -> Page:
        """T2I: pictures for the words, and what of them the model could not use."""
        try:
            searcher = self._searcher(gallery)
            start = time.perf_counter()
            hits = searcher.search_text(query, count)
            seconds = time.perf_counter() - start
        except PairscopeError as error:
            return _refusal(error, query=query)
        kept, lost = searcher.encoder.split_at_context(query)
        notes = []
        if lost:
            notes.append(
                f"That is longer than the model reads. It read up to “… {kept[-40:]}”, "
                f"but not “{_shortened(lost)}”."
            )
        if unseen := searcher.encoder.unseen_words(kept):
            notes.append(f"The model never met {_listing(unseen)} in training, so it can only guess there.")
        if (chance := self._chance(searcher, gallery, query, hits)) <= UNLIKELY:
            notes.append(
                f"Perhaps nothing here matches: of queries that do match something in this gallery, "
                f"{'fewer than 1' if chance < 0.01 else f'about {100 * chance:.0f}'} in 100 score so low."
            )
        status = self._status(searcher, gallery, seconds, notes, q=query, k=count)
        return _page(query, None, status, html.pictures(hits, f"Pictures for “{_shortened(query)}”"))

    def by_picture(self, path: str | None, count: int, gallery: str) -> Page:
        """I2T and I2I for an uploaded, pasted or taken picture."""
        if not path:  # the box was emptied
            return _page(status=html.status(notes=["Search with words, or choose a picture."]))
        try:
            searcher = self._searcher(gallery)
            image = _decoded(path)
            start = time.perf_counter()
            results = _both(
                searcher.search_image(image, count), searcher.search_image(image, count, of="images")
            )
            seconds = time.perf_counter() - start
        except ImageError as error:
            return _refusal(QueryError(f"That picture cannot be used: {error}."))
        except PairscopeError as error:
            return _refusal(error)
        notes = ["Your picture stays in this session, so there is no link to this search."]
        return _page("", path, self._status(searcher, gallery, seconds, notes), results)

    def by_item(self, item: str, count: int, gallery: str) -> Page:
        """I2T and I2I for a picture of the gallery."""
        try:
            searcher = self._searcher(gallery)
            start = time.perf_counter()
            results = _both(searcher.search_item(item, count), searcher.search_item(item, count, of="images"))
            seconds = time.perf_counter() - start
            thumbnail = searcher.gallery.thumbnail(item)
        except PairscopeError as error:
            return _refusal(error)
        return _page(
            "", str(thumbnail), self._status(searcher, gallery, seconds, item=item, k=count), results
        )

    def by_click(self, count: int, gallery: str, event: gr.EventData) -> Page:
        """A click on a result. Its data come from the browser: they are looked up, never trusted."""
        item, query = getattr(event, "item", None), getattr(event, "query", None)
        return (
            self.by_words(query, count, gallery)
            if isinstance(query, str)
            else self.by_item(str(item), count, gallery)
        )

    def surprise(self, count: int, gallery: str) -> Page:
        """Search with a caption of the gallery that nobody chose."""
        try:
            items = self._searcher(gallery).gallery.items
        except PairscopeError as error:
            return _refusal(error)
        captions = [
            caption for captions in items["captions"].sample(min(20, len(items))) for caption in captions
        ]
        return self.by_words(random.choice(captions or EXAMPLES), count, gallery)

    def again(self, query: str, picture: str | None, count: int, gallery: str) -> Page:
        """Another number of results, or another gallery, for the query that is there."""
        return self.by_picture(picture, count, gallery) if picture else self.by_words(query, count, gallery)

    def on_load(self, count: int, gallery: str, request: gr.Request) -> Page:
        """What the link asks for (`?q=` or `?item=`, with `k` and `g`), else the first example."""
        asked = request.query_params
        name = asked.get("g", gallery)
        try:
            progress = self.galleries.progress(name)
        except PairscopeError as error:
            return _refusal(error)
        if progress is not None:
            return _page(asked.get("q", ""), None, html.waiting(name, *progress), waiting=True)
        number = int(asked["k"]) if asked.get("k", "").isdecimal() else count
        if item := asked.get("item"):
            page = self.by_item(item, number, name)
        else:
            page = self.by_words(asked.get("q") or EXAMPLES[0], number, name)
        return page._replace(gallery=name)

    def search_text(self, query: str, k: int = 10, gallery: str = "") -> list[dict[str, Any]]:
        """Search pictures with words (T2I).

        Args:
            query: what the picture should show, in the language of the gallery's captions
            k: how many pictures, 1 to 100
            gallery: name of the gallery; empty for the first one

        Returns:
            the best pictures: rank, score (cosine), item_id, caption, address of the thumbnail
        """
        with as_gradio_error():
            return _as_json(self._searcher(gallery, timeout=60).search_text(query, int(k)))

    def search_image(self, image: str | None, k: int = 10, gallery: str = "") -> list[dict[str, Any]]:
        """Search captions with a picture (I2T).

        Args:
            image: the picture to find captions for
            k: how many captions, 1 to 100
            gallery: name of the gallery; empty for the first one

        Returns:
            the best captions: rank, score (cosine), item_id, caption, address of the thumbnail
        """
        with as_gradio_error():
            if not image:
                raise QueryError("There is no picture to search with.")
            return _as_json(self._searcher(gallery, timeout=60).search_image(_decoded(image), int(k)))

    def _chance(self, searcher: Searcher, gallery: str, query: str, hits: list[Hit]) -> float:
        """How rarely a query that matches scores so low (`analysis.calibration`); 1 where unknown."""
        calibration = self.galleries.calibration(gallery or self.galleries.names[0])
        if calibration is None or not hits:
            return 1.0
        return float(calibration.p_value(searcher.embed_text(query)[None], np.array([hits[0].score]))[0])

    def _searcher(self, gallery: str, timeout: float = 0) -> Searcher:
        return self.galleries.searcher(gallery or self.galleries.names[0], timeout)

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


class as_gradio_error:
    """A PairscopeError leaves as a message for the client, without a traceback in the server's log."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PairscopeError):
            raise gr.Error(str(error), print_exception=False) from error


def _page(
    query: str = "", picture: str | None = None, status: str = "", results: str = "", *, waiting: bool = False
) -> Page:
    return Page(query, picture, gr.skip(), status, results, gr.Timer(active=waiting))


def _refusal(error: PairscopeError, *, query: str = "") -> Page:
    return _page(query, status=html.status(notes=[str(error)]))


def _decoded(upload: str) -> Image.Image:
    """Read an uploaded file; as bytes, so that an error does not tell where the server keeps it."""
    return decode_image(Path(upload).read_bytes(), min_side=UPLOAD_SIDE)


def _both(texts: list[Hit], pictures: list[Hit]) -> str:
    return html.captions(texts, "Captions that fit it") + html.pictures(pictures, "Pictures like it")


def _as_json(hits: list[Hit]) -> list[dict[str, Any]]:
    return [vars(hit) | {"thumbnail": html.file_url(hit.thumbnail)} for hit in hits]


def _shortened(text: str, most: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _listing(words: list[str], most: int = 6) -> str:
    quoted = [f"“{_shortened(word, 30)}”" for word in words[:most]]
    if len(words) > most:
        quoted.append(f"{len(words) - most} more words")
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
