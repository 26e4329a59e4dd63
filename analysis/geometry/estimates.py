r"""Metrics of `analysis.geometry.measures` with the influence of each point, which gives their intervals.

The influence psi_a of point a is the derivative of the metric by the weight of a. To first order, the metric
of a resampled set differs by the sum of psi over the drawn points. An image and its captions are drawn
together, so that

    standard error^2 = n / (n - 1)  sum_i (sum_{a of image i} psi_a)^2              (n images)

This is the infinitesimal jackknife (Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982,
ch. 6), the limit of the bootstrap over images. Resampling itself would be slow. It would also be biased for
metrics of pairs of points, since an image drawn twice is a pair at distance 0.

In all functions, `rows` are the image rows of the points.
"""

from typing import NamedTuple

import numpy as np

from analysis.blocks import blocks


class Estimate(NamedTuple):
    """The value of a metric, the influence (p,) of each of its points and the image row (p,) of each."""

    value: float
    influence: np.ndarray
    rows: np.ndarray

    def interval(self, n_images: int) -> tuple[float, float]:
        """Return the 95 % interval over images; NaN if there is only one image."""
        if n_images < 2:
            return np.nan, np.nan
        by_image = np.bincount(self.rows, self.influence, n_images)
        half = 1.96 * float(np.sqrt(n_images / (n_images - 1) * (by_image**2).sum()))
        return self.value - half, self.value + half


def mean(values: np.ndarray, rows: np.ndarray) -> Estimate:
    """Mean of the values (p,)."""
    average = float(values.mean())
    return Estimate(average, (values - average) / len(values), rows)


def skewness(values: np.ndarray, rows: np.ndarray) -> Estimate:
    """Third standardised moment of the values (p,); 0 if all are equal."""
    spread = values.std()
    if not spread:
        return Estimate(0.0, np.zeros(len(values)), rows)
    z = (values - values.mean()) / spread
    skew = float((z**3).mean())
    return Estimate(skew, (z**3 - skew - 3 * z - 1.5 * skew * (z**2 - 1)) / len(z), rows)


def uniformity(x: np.ndarray, rows: np.ndarray, t: float = 2.0) -> Estimate:
    """Log of the mean of exp(-t ||a - b||^2) over all pairs of the points x (p, d), unit norm.

    Raises:
        ValueError: fewer than two points.
    """
    if len(x) < 2:
        raise ValueError(f"Uniformity needs at least two points, got {len(x)}.")
    nearness = np.empty(len(x))  # of each point to the others
    for block in blocks(len(x)):
        kernel = np.exp(2 * t * (x[block] @ x.T - 1))  # ||a - b||^2 = 2 - 2 a.b
        diagonal = np.arange(block.start, block.stop)
        kernel[diagonal - block.start, diagonal] = 0
        nearness[block] = kernel.sum(axis=1, dtype=np.float64) / (len(x) - 1)
    average = nearness.mean()
    influence = 2 * (nearness / average - 1) / len(x)  # a pair has two points
    return Estimate(float(np.log(average)), influence, rows)


def modality_gap(images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray) -> Estimate:
    """Distance between the means of images (n, d) and texts (m, d)."""
    means = [x.mean(axis=0, dtype=np.float64) for x in (images, texts)]
    gap = means[0] - means[1]
    length = float(np.linalg.norm(gap))
    direction = gap / length if length else gap
    influence = [
        sign * ((x @ direction) - centre @ direction) / len(x)
        for sign, x, centre in zip((1, -1), (images, texts), means, strict=True)
    ]
    rows = np.concatenate([np.arange(len(images)), image_of_caption])
    return Estimate(length, np.concatenate(influence), rows)


def effective_rank(x: np.ndarray, rows: np.ndarray) -> Estimate:
    """Exponential of the entropy H of p_k = sigma_k / sum sigma, the singular values of x (p, d)."""
    gram = np.zeros((x.shape[1], x.shape[1]))
    for block in blocks(len(x)):
        part = x[block].astype(np.float64)
        gram += part.T @ part
    squares, directions = np.linalg.eigh(gram)
    kept = squares > squares[-1] * 1e-14  # the others are rounding errors
    sigma, directions = np.sqrt(squares[kept]), directions[:, kept]
    p = sigma / sigma.sum()
    entropy = -float((p * np.log(p)).sum())
    rank = float(np.exp(entropy))
    # d rank = rank dH; dH = -sum_k (log p_k + H) d sigma_k / sum sigma; d sigma_k = (x_a . v_k)^2 / 2 sigma_k
    slope = -rank * (np.log(p) + entropy) / (2 * sigma * sigma.sum())
    influence = np.concatenate([(x[block] @ directions) ** 2 @ slope for block in blocks(len(x))])
    return Estimate(rank, influence, rows)


def negative_distance(
    images: np.ndarray, image_rows: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray
) -> Estimate:
    """Mean Euclidean distance of images (n, d) and texts (m, d) that are no pair; NaN if all are pairs.

    image_rows (n,) and image_of_caption (m,) are image rows of the same numbering.
    """
    image_sums, image_counts = np.zeros(len(images)), np.zeros(len(images))
    text_sums, text_counts = np.zeros(len(texts)), np.zeros(len(texts))
    for block in blocks(len(texts)):
        others = image_of_caption[block, None] != image_rows
        distance = np.sqrt(np.maximum(2 - 2 * (texts[block] @ images.T), 0)) * others
        image_sums += distance.sum(axis=0, dtype=np.float64)
        image_counts += others.sum(axis=0)
        text_sums[block] = distance.sum(axis=1, dtype=np.float64)
        text_counts[block] = others.sum(axis=1)
    pairs = text_counts.sum()
    average = float(text_sums.sum() / pairs) if pairs else np.nan
    sums, counts = np.concatenate([image_sums, text_sums]), np.concatenate([image_counts, text_counts])
    rows = np.concatenate([image_rows, image_of_caption])
    return Estimate(average, (sums - average * counts) / max(pairs, 1), rows)
