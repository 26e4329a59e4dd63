"""How far the scores of captions set their own image apart from the others."""

import numpy as np

from analysis.blocks import blocks
from analysis.geometry import estimates
from analysis.geometry.estimates import Estimate


def caption_margin(images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray) -> Estimate:
    """Mean difference of a caption's cosine with its own image and with the best other image.

    Above 0 for a caption whose own image ranks first, below 0 for a miss.

    Args:
        images: (n, d) unit rows, n at least 2.
        texts: (m, d) unit rows.
        image_of_caption: (m,) image row of each caption.

    Returns:
        The mean over captions, in [-2, 2], with the influence of each caption on it.

    >>> images = np.eye(2)
    >>> texts = np.array([[1.0, 0.0], [0.6, 0.8]])
    >>> round(caption_margin(images, texts, np.array([0, 1])).value, 2)  # (1 - 0 + 0.8 - 0.6) / 2
    0.6
    """
    margins = np.empty(len(texts))
    for block in blocks(len(texts)):
        scores = texts[block] @ images.T  # (b, n)
        rows, own = np.arange(len(scores)), image_of_caption[block]
        positive = scores[rows, own]
        scores[rows, own] = -np.inf
        margins[block] = positive - scores.max(axis=1)
    return estimates.mean(margins, image_of_caption)
