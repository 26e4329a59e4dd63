"""Image-image and text-text search in the spaces that a model has for them (CUSA's uni-modal heads)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from itr_core.retrieval.filters import Among
from itr_core.retrieval.index import ExactIndex, Index


@dataclass(frozen=True)
class SpaceIndex:
    """An index of vectors that were mapped to another space, which maps queries to it, too."""

    index: Index
    to_space: Callable[[np.ndarray], np.ndarray]
    """Maps embeddings (q, D) of the encoder to vectors (q, d)."""

    @property
    def approximate(self) -> bool:
        """See `Index.approximate`."""
        return self.index.approximate

    def search(
        self, queries: np.ndarray, k: int, among: Among | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Index.search`; queries are embeddings of the encoder."""
        return self.index.search(self.to_space(queries), k, among)


def within_modality(encoder: object, images: np.ndarray, texts: np.ndarray) -> dict[str, SpaceIndex] | None:
    """Index embeddings of images (n, D) and captions (m, D) for search within their modality.

    Returns:
        "images" and "captions" -> index, or None if the model has no spaces for this.
    """
    if not hasattr(encoder, "heads"):  # an exported model
        return None
    from itr_core.encoders.heads import heads_of  # imports torch

    spaces = heads_of(encoder).uni_modal
    if spaces is None:
        return None
    return {
        "images": SpaceIndex(ExactIndex(spaces.images(np.asarray(images))), spaces.images),
        "captions": SpaceIndex(ExactIndex(spaces.texts(np.asarray(texts))), spaces.texts),
    }
