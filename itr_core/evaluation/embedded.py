"""A source embedded by a model: the input of the evaluation protocols."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from itr_core.encoders.heads import LocalRole
from itr_core.evaluation.relevance_matrix import PackedRelevance
from itr_core.metrics import CosineSimilarity
from itr_core.metrics.samples import QuerySet
from itr_core.pairs import PairSet


class Tokens(NamedTuple):
    """The tokens of a source, and how the model uses them."""

    patches: np.ndarray
    """(n, P, d), unit norm."""
    words: np.ndarray
    """(m, L, d), unit norm."""
    mask: np.ndarray
    """(m, L) bool, True at words."""
    local: LocalRole
    """Weight and attention heads of the local similarity."""
    device: Any
    """The device of the model."""


@dataclass(frozen=True)
class Embedded:
    """A source embedded by a model: `images` (n, d) and `texts` (m, d), unit norm, sorted by image."""

    pairs: PairSet
    images: np.ndarray
    texts: np.ndarray
    uni_modal: tuple[np.ndarray, np.ndarray] | None = None
    """Images (n, h) and texts (m, h) in the spaces of the model for image-image and text-text search, unit
    norm; None for models without such spaces, which use `images` and `texts`."""
    database: Self | None = None
    """The images that `pairs` search, if these are another source."""
    tokens: Tokens | None = None
    """What `hierarchical` and re-ranking need."""

    @cached_property
    def image_of_caption(self) -> np.ndarray:
        """The row of each caption's image, (m,)."""
        return self.pairs.flat_captions()[1]

    @cached_property
    def truth(self) -> PackedRelevance | None:
        """The relevance beyond the given pairs, if the source has it."""
        if self.pairs.relevance is None:
            return None
        return PackedRelevance(self.pairs.relevance, len(self.images), len(self.texts))

    @property
    def images_among_images(self) -> np.ndarray:
        """Embeddings of the images for image-image search."""
        return self.images if self.uni_modal is None else self.uni_modal[0]

    @property
    def texts_among_texts(self) -> np.ndarray:
        """Embeddings of the captions for text-text search."""
        return self.texts if self.uni_modal is None else self.uni_modal[1]

    def queries(self, protocol: str, direction: str) -> QuerySet:
        """Return all captions (T2I, T2T) or all images (I2T, I2I) as queries."""
        n = len(self.images)
        return QuerySet(
            protocol, direction, self.image_of_caption if direction.startswith("t") else np.arange(n), n
        )

    @cached_property
    def t2i(self) -> CosineSimilarity:
        """Similarity of captions (rows) and images."""
        return CosineSimilarity(self.texts, self.images)

    @cached_property
    def i2t(self) -> CosineSimilarity:
        """Similarity of images (rows) and captions."""
        return CosineSimilarity(self.images, self.texts)
