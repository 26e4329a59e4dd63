"""The relevance of all images and captions in memory, one bit each, readable by image and by caption."""

import numpy as np

from itr_core.metrics.similarity import LazySimilarity
from itr_core.pairs.pairset import Relevance

CHUNK = 256
"""Number of images per block."""


class PackedRelevance:
    """The relevance matrix of n images and m captions with one bit per entry.

    `by_image` (n, m) and `by_caption` (m, n) are inputs of the metrics in `itr_core.metrics.relevance`.
    20,000 images with 100,000 captions take 250 MB.
    """

    def __init__(self, relevance: Relevance, n_images: int, n_captions: int) -> None:
        self._bits = np.empty((n_images, -(-n_captions // 8)), np.uint8)
        for start in range(0, n_images, CHUNK):
            rows = slice(start, min(start + CHUNK, n_images))
            self._bits[rows] = np.packbits(relevance.matrix(rows), axis=1)
        self.by_image = LazySimilarity(
            (n_images, n_captions),
            lambda rows: np.unpackbits(self._bits[rows], axis=1, count=n_captions).view(bool),
        )
        self.by_caption = LazySimilarity(
            (n_captions, n_images), lambda rows: self.columns(np.arange(n_captions)[rows]).T
        )

    def columns(self, captions: np.ndarray) -> np.ndarray:
        """Return the columns of captions (k,): (n_images, k) bool."""
        last = (7 - (captions & 7)).astype(np.uint8)
        return (self._bits[:, captions >> 3] >> last & 1).view(bool)
