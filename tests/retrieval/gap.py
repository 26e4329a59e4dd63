"""Embeddings of images and captions with a modality gap, as dual encoders have them."""

import numpy as np


def unit(x: np.ndarray) -> np.ndarray:
    """Return the rows (n, d) scaled to unit norm, float32."""
    scaled: np.ndarray = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def pairs(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return images and their captions, both (n, d) float32 of unit norm.

    Both are around a mean of their own and share half of their variance, which falls along the axes. The
    images belong to n / 40 groups.
    """
    rng = np.random.default_rng(seed)
    spread = 1 / (np.arange(d) + 4)
    spread /= np.linalg.norm(spread)
    groups = rng.standard_normal((n // 40, d)) * spread
    shared = groups[rng.integers(n // 40, size=n)] + rng.standard_normal((n, d)) * spread
    means = unit(rng.standard_normal((2, d)))
    images = means[0] + 0.7 * shared
    captions = means[1] + 0.6 * shared + 0.5 * rng.standard_normal((n, d)) * spread
    return unit(images), unit(captions)
