"""Search a gallery: words to pictures (T2I), a picture to captions (I2T), and like to like (I2I, T2T)."""

import unicodedata
from collections.abc import Callable, Sequence
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
from itr_core.retrieval.index import ExactIndex, Index

if TYPE_CHECKING:
    from itr_core.encoders.dual_encoder import DualEncoder

MOST = 100
"""Most results of one search."""
CANDIDATES = 100
"""How many of the best are ranked again where that is asked for."""
LOCAL_SHARE = 0.8
"""u1 where none is given: that of AsCL's authors."""
LONGEST = 10_000
"""Characters of a query that are looked at, far more than any text tower reads."""

_BATCH = 256

Of = Literal["images", "captions"]
Rescore = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Cosines and rows (n,) of candidates -> the scores (n,) by which they are ranked again."""

ENCODING = Lock()
"""Held while something is encoded: tokenizers are not thread-safe, and a tower uses all cores."""


@dataclass(frozen=True)
class Hit:
    """One result. `score` is a cosine; ranked again, u1 of it gives way to the local similarity.

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

    With `rerank`, words and pictures find each other in two steps: the 100 best by cosine are ranked again
    by u1 S_local + (1 - u1) cosine (AsCL, see `itr_core.encoders.token_similarity`), which compares every word with
    every place. `u1` is in [0, 1]; a model trained with some u1 wants the same here.

    Raises GalleryError if another model made the gallery.
    """

    def __init__(self, gallery: Gallery, encoder: "DualEncoder", *, u1: float = LOCAL_SHARE) -> None:
        if not 0 <= u1 <= 1:
            raise QueryError(f"u1={u1}: the share of the local similarity must be from 0 to 1.")
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
        self.u1 = u1
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

    def search_text(self, query: str, k: int = 10, of: Of = "images", *, rerank: bool = False) -> list[Hit]:
        """Return the k (1 to 100) images, or captions, that fit the words best; fewer if there are fewer.

        Of a query longer than the model reads the rest is not used; `encoder.cut` tells. Raises QueryError,
        and with `rerank` GalleryError if the gallery was built without tokens.
        """
        embedding = self.embed_text(query)
        self._check(k, of, "images" if rerank else None)
        rescore = self._images_by(normalised(query)) if rerank else None
        return self._hits(embedding, k, of, rescore=rescore)

    def embed_text(self, query: str) -> np.ndarray:
        """Return the unit vector (d,) that a query is searched with. Raises QueryError if it has no words."""
        text = normalised(query)
        if not text:
            raise QueryError("There is nothing to search for yet: type a few words, like 'a dog on a beach'.")
        return self._text_embedding(text)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts -> (N, d) float32, unit rows: the encoder's, in turns with searches."""
        parts = [np.empty((0, self.encoder.dim), np.float32)]
        for start in range(0, len(texts), _BATCH):
            with ENCODING:
                parts.append(self.encoder.encode_texts(texts[start : start + _BATCH]))
        return np.concatenate(parts)

    def search_image(
        self, image: Image.Image, k: int = 10, of: Of = "captions", *, rerank: bool = False
    ) -> list[Hit]:
        """Return the k (1 to 100) captions, or images, that fit the picture best. Raises QueryError."""
        self._check(k, of, "captions" if rerank else None)
        rescore = None
        with ENCODING:
            if rerank:
                query, places = self.encoder.encode_images([image], tokens=True)
                rescore = self._captions_by(places)
            else:
                query = self.encoder.encode_images([image])
        return self._hits(query[0], k, of, rescore=rescore)

    def search_item(
        self, item_id: str, k: int = 10, of: Of = "captions", *, rerank: bool = False
    ) -> list[Hit]:
        """Return what fits an image of this gallery best, itself left out. Raises as `search_text`."""
        self._check(k, of, "captions" if rerank else None)
        row = self.gallery.row(item_id)
        rescore = self._captions_by(self._tokens()[[row]]) if rerank else None
        return self._hits(self.gallery.image_embeddings[row], k, of, without=row, rescore=rescore)

    def _check(self, k: int, of: str, reranked: Of | None) -> None:
        if of not in self._index:
            raise QueryError(f"Nothing called {of!r} can be searched.{did_you_mean(of, self._index)}")
        if reranked and of != reranked:
            raise QueryError(
                f"Only {reranked} can be ranked again here (of={reranked!r}): it takes words on one side and "
                "a picture on the other."
            )
        if not 1 <= k <= MOST:
            raise QueryError(f"{k} results are out of range: ask for 1 to {MOST}.")
        if of == "captions" and not self._texts:
            raise QueryError("This gallery has no captions to find; search its images instead (of='images').")

    def _encode_text(self, text: str) -> np.ndarray:
        with ENCODING:
            return self.encoder.encode_texts([text])[0]

    def _tokens(self) -> np.ndarray:
        if self.gallery.image_tokens is None:
            command = self.gallery.manifest.rebuild(self.gallery.path, tokens=True)
            raise GalleryError(
                f"The gallery {self.gallery.path} keeps no image tokens to rank again by. Build it with "
                f"them: {command}"
            )
        return self.gallery.image_tokens

    def _images_by(self, text: str) -> Rescore:
        tokens = self._tokens()
        with ENCODING:
            _, words, mask = self.encoder.encode_texts([text], tokens=True)
        return lambda scores, rows: self._fused(scores, tokens[rows], words, mask)

    def _captions_by(self, places: np.ndarray) -> Rescore:
        def rescore(scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
            with ENCODING:
                _, words, mask = self.encoder.encode_texts([self._texts[row] for row in rows], tokens=True)
            return self._fused(scores, places, words, mask)

        return rescore

    def _fused(
        self, scores: np.ndarray, places: np.ndarray, words: np.ndarray, mask: np.ndarray
    ) -> np.ndarray:
        from itr_core.retrieval.reranking import fused  # torch, which the encoder has brought along

        return fused(scores, places, words, mask, self.u1)

    def _hits(
        self,
        query: np.ndarray,
        k: int,
        of: Of,
        *,
        without: int | None = None,
        rescore: Rescore | None = None,
    ) -> list[Hit]:
        leave = of == "images" and without is not None
        wanted = CANDIDATES if rescore else k
        scores, rows = (x[0] for x in self._index[of].search(query[None], wanted + leave))
        if leave:
            keep = np.flatnonzero(rows != without)[:wanted]
            scores, rows = scores[keep], rows[keep]
        if rescore:
            scores = rescore(scores, rows)
            best = np.argsort(-scores, kind="stable")[:k]
            scores, rows = scores[best], rows[best]
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
