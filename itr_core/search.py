"""Search a gallery: words to pictures (T2I), a picture to captions (I2T), and like to like (I2I, T2T)."""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from itr_core.errors import GalleryError, QueryError, did_you_mean
from itr_core.gallery import Gallery
from itr_core.index import ExactIndex, Index

if TYPE_CHECKING:
    from itr_core.encoder import DualEncoder

MOST = 100
"""Most results of one search."""
LONGEST = 10_000
"""Characters of a query that are looked at, far more than any text tower reads."""

Of = Literal["images", "captions"]

# One query at a time is encoded in this process: tokenizers are not thread-safe, and a tower uses all cores.
_ENCODING = Lock()


@dataclass(frozen=True)
class Hit:
    """One result. `score` is a cosine.

    `caption` is the caption found; for an image found, that of its captions which fits the query best ("" if
    it has none). `item_id` and `thumbnail` are the image's; a caption that many images share is listed once,
    with the first of them.
    """

    rank: int
    score: float
    item_id: str
    caption: str
    thumbnail: Path


class Searcher:
    """Answers queries about one gallery with the encoder that made it; safe to use from many threads.

    Raises GalleryError if another model made the gallery.
    """

    def __init__(self, gallery: Gallery, encoder: "DualEncoder") -> None:
        about = gallery.manifest
        if encoder.fingerprint != about.model_fingerprint:
            search = (
                f"Search it with --model {about.model}, or build" if about.model != encoder.spec else "Build"
            )
            raise GalleryError(
                f"The gallery {gallery.path} was made by {about.model} ({about.model_fingerprint[:12]}), "
                f"not by {encoder.spec} ({encoder.fingerprint[:12]}); their embeddings cannot be compared. "
                f"{search} it again: {about.rebuild(gallery.path, encoder.spec)}"
            )
        self.gallery = gallery
        self.encoder = encoder
        self._ids: list[str] = gallery.items["image_id"].tolist()
        self._captions: list[list[str]] = gallery.items["captions"].tolist()
        self._thumbnails: list[str] = gallery.items["thumbnail"].tolist()
        first: dict[str, int] = {}  # each wording once: a terse caption is true of hundreds of images
        for row, caption in enumerate(chain.from_iterable(self._captions)):
            first.setdefault(caption, row)
        self._texts = list(first)
        self._rows = np.array(list(first.values()), dtype=np.int64)
        self._index: dict[str, Index] = {
            "images": ExactIndex(gallery.image_embeddings),
            "captions": ExactIndex(gallery.text_embeddings[self._rows]),
        }
        self._starts = np.searchsorted(gallery.image_of_caption, np.arange(len(gallery) + 1))
        self._text_embedding = lru_cache(maxsize=1024)(self._encode_text)

    def search_text(self, query: str, k: int = 10, of: Of = "images") -> list[Hit]:
        """Return the k (1 to 100) images, or captions, that fit the words best; fewer if there are fewer.

        Of a query longer than the model reads the rest is not used; `encoder.cut` tells. Raises QueryError.
        """
        text = normalised(query)
        if not text:
            raise QueryError("There is nothing to search for yet: type a few words, like 'a dog on a beach'.")
        self._check(k, of)
        return self._hits(self._text_embedding(text), k, of)

    def search_image(self, image: Image.Image, k: int = 10, of: Of = "captions") -> list[Hit]:
        """Return the k (1 to 100) captions, or images, that fit the picture best. Raises QueryError."""
        self._check(k, of)
        with _ENCODING:
            query = self.encoder.encode_images([image])[0]
        return self._hits(query, k, of)

    def search_item(self, item_id: str, k: int = 10, of: Of = "captions") -> list[Hit]:
        """Return what fits an image of this gallery best, itself left out. Raises QueryError."""
        self._check(k, of)
        row = self.gallery.row(item_id)
        return self._hits(self.gallery.image_embeddings[row], k, of, without=row)

    def _check(self, k: int, of: str) -> None:
        if of not in self._index:
            raise QueryError(f"Nothing called {of!r} can be searched.{did_you_mean(of, self._index)}")
        if not 1 <= k <= MOST:
            raise QueryError(f"{k} results are out of range: ask for 1 to {MOST}.")
        if of == "captions" and not self._texts:
            raise QueryError("This gallery has no captions to find; search its images instead (of='images').")

    def _encode_text(self, text: str) -> np.ndarray:
        with _ENCODING:
            return self.encoder.encode_texts([text])[0]

    def _hits(self, query: np.ndarray, k: int, of: Of, without: int | None = None) -> list[Hit]:
        leave = of == "images" and without is not None
        scores, rows = (x[0] for x in self._index[of].search(query[None], k + leave))
        if leave:
            keep = np.flatnonzero(rows != without)[:k]
            scores, rows = scores[keep], rows[keep]
        find = self._image if of == "images" else self._caption
        found = zip(scores, rows, strict=True)
        return [Hit(rank, float(score), *find(row, query)) for rank, (score, row) in enumerate(found, 1)]

    def _image(self, row: int, query: np.ndarray) -> tuple[str, str, Path]:
        captions = self.gallery.text_embeddings[self._starts[row] : self._starts[row + 1]]
        best = self._captions[row][int((captions @ query).argmax())] if len(captions) else ""
        return self._ids[row], best, self.gallery.path / self._thumbnails[row]

    def _caption(self, row: int, query: np.ndarray) -> tuple[str, str, Path]:
        image = self.gallery.image_of_caption[self._rows[row]]
        return self._ids[image], self._texts[row], self.gallery.path / self._thumbnails[image]


def normalised(query: str) -> str:
    """Return the query in composed characters, with single spaces and without bytes that are no text."""
    text = query[:LONGEST].encode("utf-8", "ignore").decode().replace("\0", " ")
    return " ".join(unicodedata.normalize("NFC", text).split())
