"""Search a gallery by text or image, for images or captions (T2I, I2T, I2I, T2T)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
from PIL import Image

from itr_core.errors import GalleryError, QueryError, did_you_mean
from itr_core.gallery import Gallery
from itr_core.retrieval.composed import changed_picture, minus_query
from itr_core.retrieval.filters import Among, Filters, Of, Words
from itr_core.retrieval.opened_indexes import OpenedIndexes
from itr_core.retrieval.query_text import normalised
from itr_core.retrieval.reranker import Reranker, Rescore
from itr_core.retrieval.saved_index import distinct_captions
from itr_core.retrieval.within_modality import SpaceIndex, within_modality

if TYPE_CHECKING:
    from itr_core.encoders.encoder import Encoder

MAX_RESULTS = 100
"""Largest number of results of one search."""
CANDIDATES = 100
"""Number of best results by cosine that re-ranking orders again."""


@dataclass(frozen=True)
class Hit:
    """One search result."""

    rank: int
    """Rank among the results, from 1."""
    score: float
    """Cosine of query and result; with re-ranking u1 S_local + (1 - u1) cosine."""
    item_id: str
    """The image. A caption that several images share is found once, with the first of these images."""
    caption: str
    """The caption found; for an image found, its caption with the highest cosine ("" if it has none)."""
    thumbnail: Path
    """Thumbnail of the image."""


class Searcher:
    """Search one gallery with the encoder that built it; several threads may use one searcher.

    Text-text and image-image search use the spaces of the model for them, if it has such (CUSA's uni-modal
    heads). Subtracted terms and changes of a picture combine both modalities and use the joint space.

    With `rerank=True`, the 100 best results by cosine are re-ranked by u1 S_local + (1 - u1) cosine, where
    S_local compares every word with every patch (AsCL, see `itr_core.encoders.token_similarity`).

    Args:
        gallery: the gallery to search.
        encoder: the model that embedded the gallery.
        u1: weight of the local similarity in re-ranking, in [0, 1]. Default: that of the training, if the
            model was trained with it (AsCL), or 0.8.
        exact: ignore the index that `pairscope index` made.

    Raises:
        GalleryError: Another model built the gallery.
        QueryError: `u1` is out of range.
    """

    def __init__(
        self, gallery: Gallery, encoder: "Encoder", *, u1: float | None = None, exact: bool = False
    ) -> None:
        if u1 is not None and not 0 <= u1 <= 1:
            raise QueryError(f"u1={u1}: the weight of the local similarity must be from 0 to 1.")
        about = gallery.manifest
        if encoder.fingerprint != about.model_fingerprint:
            remedy = (
                f"Search it with --model {about.model}, or rebuild"
                if about.model != encoder.spec
                else "Rebuild"
            )
            raise GalleryError(
                f"The gallery {gallery.path} was built by {about.model} ({about.model_fingerprint[:12]}), "
                f"not by {encoder.spec} ({encoder.fingerprint[:12]}); their embeddings cannot be compared. "
                f"{remedy} it: {about.rebuild_command(gallery.path, encoder.spec)}"
            )
        self.gallery = gallery
        self.encoder = encoder
        self._reranker = Reranker(gallery, encoder, u1)
        self._ids: list[str] = gallery.column("image_id")
        self._captions: list[list[str]] = gallery.column("captions")
        self._thumbnails: list[str] = gallery.column("thumbnail")
        first = distinct_captions(self._captions)
        self._texts = list(first)
        self._rows = np.array(list(first.values()), dtype=np.int64)
        self.indexes = OpenedIndexes(gallery, self._rows, exact=exact)
        self._filters = Filters(gallery.column("labels"), self._texts)
        self._starts = np.searchsorted(gallery.image_of_caption, np.arange(len(gallery) + 1))
        self._text_embedding = lru_cache(maxsize=1024)(self._encode_text)

    def search_text(
        self,
        query: str,
        k: int = 10,
        of: Of = "images",
        *,
        rerank: bool = False,
        minus: Sequence[str] = (),
        labels: Collection[str] = (),
        words: Words | None = None,
    ) -> list[Hit]:
        """Find the images, or captions, most similar to a text (T2I, T2T).

        Args:
            query: any text. The part beyond the model's context length has no effect; see
                `Encoder.split_at_context`.
            k: number of results, 1 to 100; with fewer items, all are returned.
            of: 'images' or 'captions'.
            rerank: re-rank the 100 best images by the local similarity.
            minus: what the images should not show, in words; see `itr_core.retrieval.composed`.
            labels: only images that have all of these labels are found.
            words: only captions of so many words are found, see `filters.Words`.

        Raises:
            QueryError: The query is empty or no text, or an argument is invalid.
            GalleryError: `rerank` is set, but the gallery was built without tokens.
        """
        if rerank and minus:
            raise QueryError("Re-ranking and minus terms cannot be combined: leave one of them out.")
        embedding = self.embed_text(query, minus)
        self._check(k, of, "images" if rerank else None)
        rescore = self._reranker.of_images(normalised(query)) if rerank else None
        by = None if minus else "captions"
        return self._hits(
            embedding, k, of, by=by, rescore=rescore, among=self._filters.among(of, labels, words)
        )

    def embed_text(self, query: str, minus: Sequence[str] = ()) -> np.ndarray:
        """Return the embedding of a query, (d,) float32 of unit norm.

        Args:
            query: any text; with minus terms, it can be empty.
            minus: what should be absent; see `itr_core.retrieval.composed`.

        Raises:
            QueryError: The query is empty or no text.
        """
        text = normalised(query)
        if not text and not minus:
            raise QueryError("The query is empty: type a few words, such as 'a dog on a beach'.")
        if not minus:
            return self._text_embedding(text)
        words = self._text_embedding(text) if text else None
        return minus_query(words, [self.embed_text(each) for each in minus])

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts to (N, d) float32 of unit norm; between two batches, other threads can search."""
        return self.encoder.encode_texts(texts)

    @property
    def found_by_image(self) -> Of:
        """What an image finds by default: captions, or images if the gallery has no captions."""
        return "captions" if self._texts else "images"

    def search_image(
        self,
        image: Image.Image,
        k: int = 10,
        of: Of | None = None,
        *,
        rerank: bool = False,
        but: str = "",
        instead_of: str = "",
        labels: Collection[str] = (),
        words: Words | None = None,
    ) -> list[Hit]:
        """Find the captions, or images, most similar to an image (I2T, I2I).

        Args:
            image: any PIL image.
            k: number of results, 1 to 100; with fewer items, all are returned.
            of: 'captions' or 'images'. Default: see `found_by_image`.
            rerank: re-rank the 100 best captions by the local similarity.
            but: what the images found should show, in words, and
            instead_of: what the image shows instead; see `embed_changed`.
            labels: only images that have all of these labels are found.
            words: only captions of so many words are found, see `filters.Words`.

        Raises:
            QueryError: An argument is invalid, or the gallery has no captions to find.
            ModelError: `rerank` is set, but the model has no tokens.
        """
        of = of or self.found_by_image
        self._check(k, of, "captions" if rerank else None)
        rescore = None
        if rerank:
            query, patches = self.encoder.encode_images([image], tokens=True)
            rescore = self._reranker.of_captions(patches, self._texts)
        else:
            query = self.encoder.encode_images([image])
        changed = self.embed_changed(query[0], but, instead_of)
        by = None if normalised(but) else "images"
        return self._hits(
            changed, k, of, by=by, rescore=rescore, among=self._filters.among(of, labels, words)
        )

    def embed_image(self, image: Image.Image) -> np.ndarray:
        """Return the embedding of an image, (d,) float32 of unit norm."""
        return self.encoder.encode_images([image])[0]

    def embed_changed(self, picture: np.ndarray, but: str = "", instead_of: str = "") -> np.ndarray:
        """Return the embedding of a picture with a change: "this, but at night instead of by day".

        Args:
            picture: embedding of the picture, (d,) of unit norm.
            but: what the picture should show, in words; "" for no change.
            instead_of: what it shows instead, in words; "" if nothing is subtracted.

        Returns:
            (d,) float32 of unit norm; see `itr_core.retrieval.composed.changed_picture`.

        Raises:
            QueryError: `instead_of` without `but`, or one of them is no text.
        """
        if normalised(instead_of) and not normalised(but):
            raise QueryError(
                "Say what the picture should show, such as 'at night', not only instead of what."
            )
        if not normalised(but):
            return picture
        minus = self.embed_text(instead_of) if normalised(instead_of) else None
        return changed_picture(picture, self.embed_text(but), minus)

    def search_embedding(
        self,
        embedding: np.ndarray,
        k: int = 10,
        of: Of = "images",
        *,
        by: Of | None = None,
        labels: Collection[str] = (),
        words: Words | None = None,
        exclude: str | None = None,
    ) -> list[Hit]:
        """Find the images, or captions, most similar to an embedding of `embed_text` or `embed_image`.

        Args:
            embedding: (d,) float32 of unit norm.
            k: number of results, 1 to 100; with fewer items, all are returned.
            of: 'images' or 'captions'.
            by: what was embedded, if neither terms were subtracted nor a change added. Search within a
                modality then uses the space of the model for it.
            labels: only images that have all of these labels are found.
            words: only captions of so many words are found, see `filters.Words`.
            exclude: an image that is never a result; captions of it can be.

        Raises:
            QueryError: An argument is invalid.
        """
        self._check(k, of, None)
        row = None if exclude is None else self.gallery.row(exclude)
        return self._hits(embedding, k, of, by=by, exclude=row, among=self._filters.among(of, labels, words))

    def search_item(
        self,
        item_id: str,
        k: int = 10,
        of: Of | None = None,
        *,
        rerank: bool = False,
        but: str = "",
        instead_of: str = "",
        labels: Collection[str] = (),
        words: Words | None = None,
    ) -> list[Hit]:
        """Find the captions, or other images, most similar to an image of this gallery (I2T, I2I).

        Args:
            item_id: the image.
            k: number of results, 1 to 100; with fewer items, all are returned.
            of: 'captions' or 'images'; the image itself is never a result. Default: see `found_by_image`.
            rerank: re-rank the 100 best captions by the local similarity.
            but: what the images found should show, in words, and
            instead_of: what the image shows instead; see `embed_changed`.
            labels: only images that have all of these labels are found.
            words: only captions of so many words are found, see `filters.Words`.

        Raises:
            QueryError: The gallery has no such image, or an argument is invalid.
            GalleryError: `rerank` is set, but the gallery was built without tokens.
        """
        of = of or self.found_by_image
        self._check(k, of, "captions" if rerank else None)
        row = self.gallery.row(item_id)
        rescore = self._reranker.of_captions(self._reranker.tokens[[row]], self._texts) if rerank else None
        query = self.embed_changed(self.gallery.image_embeddings[row], but, instead_of)
        found, by = self._filters.among(of, labels, words), None if normalised(but) else "images"
        return self._hits(query, k, of, by=by, exclude=row, rescore=rescore, among=found)

    def approximate(self, of: Of = "images") -> bool:
        """Whether images (or captions) are found by an approximate index, which can miss some of the best."""
        return self.indexes.index(of).approximate

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """Labels of the gallery, most frequent first, and the rows of the images that have each, int64."""
        return self._filters.labels

    @property
    def caption_words(self) -> np.ndarray:
        """Number of words of each different caption of the gallery, int64."""
        return self._filters.words

    def having(
        self, labels: Collection[str], of: Of = "images", words: Words | None = None
    ) -> np.ndarray | None:
        """Return the rows that a search is limited to, int64; None for no limit.

        Args:
            labels: only images that have all of these labels.
            of: 'images' or 'captions'; rows of captions are those of `caption_words`.
            words: only captions of so many words.

        Raises:
            QueryError: see `Filters.among`.
        """
        found = self._filters.among(of, labels, words)
        return None if found is None else found.rows

    def _check(self, k: int, of: str, can_rerank: Of | None) -> None:
        if of not in get_args(Of):
            raise QueryError(f"There are no {of!r} to search.{did_you_mean(of, get_args(Of))}")
        if can_rerank and of != can_rerank:
            without = " The gallery has no captions." if not self._texts else ""
            raise QueryError(
                f"Only {can_rerank} can be re-ranked here (of={can_rerank!r}): re-ranking compares an image "
                f"with a text.{without}"
            )
        if not 1 <= k <= MAX_RESULTS:
            raise QueryError(f"{k} results are out of range; choose 1 to {MAX_RESULTS}.")
        if of == "captions" and not self._texts:
            raise QueryError("This gallery has no captions to find; search its images (of='images').")

    def _encode_text(self, text: str) -> np.ndarray:
        return self.encoder.encode_texts([text])[0]

    def _hits(
        self,
        query: np.ndarray,
        k: int,
        of: Of,
        *,
        by: str | None = None,
        exclude: int | None = None,
        rescore: Rescore | None = None,
        among: Among | None = None,
    ) -> list[Hit]:
        excludes = of == "images" and exclude is not None
        wanted = CANDIDATES if rescore else k
        index = self._within[of] if by == of and self._within is not None else self.indexes.index(of)
        scores, rows = (x[0] for x in index.search(query[None], wanted + excludes, among))
        if excludes:
            keep = np.flatnonzero(rows != exclude)[:wanted]
            scores, rows = scores[keep], rows[keep]
        if rescore:
            scores = rescore(scores, rows)
            best = np.argsort(-scores, kind="stable")[:k]
            scores, rows = scores[best], rows[best]
        find = self._image if of == "images" else self._caption
        found = zip(scores, rows, strict=True)
        return [Hit(rank, float(score), *find(row, query)) for rank, (score, row) in enumerate(found, 1)]

    @cached_property
    def _within(self) -> dict[str, SpaceIndex] | None:
        """Search within a modality, where the model has spaces for it."""
        return within_modality(
            self.encoder, self.gallery.image_embeddings, self.gallery.text_embeddings[self._rows]
        )

    def _image(self, row: int, query: np.ndarray) -> tuple[str, str, Path]:
        captions = self.gallery.text_embeddings[self._starts[row] : self._starts[row + 1]]
        best = self._captions[row][int((captions @ query).argmax())] if len(captions) else ""
        return self._ids[row], best, self.gallery.path / self._thumbnails[row]

    def _caption(self, row: int, query: np.ndarray) -> tuple[str, str, Path]:
        image = self.gallery.image_of_caption[self._rows[row]]
        return self._ids[image], self._texts[row], self.gallery.path / self._thumbnails[image]
