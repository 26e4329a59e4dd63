"""Scores that re-rank the best results of a search: words compared with patches (AsCL)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from itr_core.errors import GalleryError
from itr_core.gallery import Gallery

if TYPE_CHECKING:
    from itr_core.encoders.encoder import Encoder

Rescore = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Maps cosines (n,) and rows (n,) of candidates to the scores (n,) that re-rank them."""


class Reranker:
    """Scores u1 S_local + (1 - u1) cosine, see `itr_core.encoders.token_similarity`.

    Args:
        gallery: the gallery that is searched.
        encoder: the model that embedded it.
        u1: weight of the local similarity, see `Searcher`.
    """

    def __init__(self, gallery: Gallery, encoder: "Encoder", u1: float | None) -> None:
        self._gallery, self._encoder, self._u1 = gallery, encoder, u1

    @property
    def tokens(self) -> np.ndarray:
        """Patch embeddings of the gallery's images; raises GalleryError if it was built without them."""
        if self._gallery.image_tokens is None:
            command = self._gallery.manifest.rebuild_command(self._gallery.path, tokens=True)
            raise GalleryError(
                f"The gallery {self._gallery.path} has no image tokens, which re-ranking needs. Rebuild it "
                f"with tokens: {command}"
            )
        return self._gallery.image_tokens

    def of_images(self, text: str) -> Rescore:
        """Return the scores of images for a query in words; raises as `tokens`."""
        tokens = self.tokens
        _, words, mask = self._encoder.encode_texts([text], tokens=True)
        return lambda scores, rows: self._fused(scores, tokens[rows], words, mask)

    def of_captions(self, patches: np.ndarray, texts: Sequence[str]) -> Rescore:
        """Return the scores of captions for an image.

        Args:
            patches: of the image, as a batch of one.
            texts: the captions, by row.
        """

        def rescore(scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
            _, words, mask = self._encoder.encode_texts([texts[row] for row in rows], tokens=True)
            return self._fused(scores, patches, words, mask)

        return rescore

    def _fused(
        self, scores: np.ndarray, patches: np.ndarray, words: np.ndarray, mask: np.ndarray
    ) -> np.ndarray:
        from itr_core.encoders.heads import heads_of  # imports torch, as does the next
        from itr_core.encoders.reranking import fused_scores

        return fused_scores(scores, patches, words, mask, heads_of(self._encoder).local(self._u1))
