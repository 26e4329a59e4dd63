r"""The measures of `analysis.geometry` with their influences: what the weight of each point does to them.

psi_a is the derivative of the measure by the weight of point a, so that to first order the measure of a
resampled set differs by the sum of psi over what was drawn. An image and its captions are drawn together:

    standard error^2 = n / (n - 1)  sum_i (sum_{a of image i} psi_a)^2              (n images)

This is the infinitesimal jackknife (Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982,
ch. 6), the limit of the bootstrap over images. Resampling itself would be slow, and biased wherever equal
points count as near ones: an image drawn twice is a pair at distance 0.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

BLOCK_ROWS = 1_024


class Estimate(NamedTuple):
    """A measure, psi (p,) of the points it was taken of, and the image row (p,) of each."""

    value: float
    influence: np.ndarray
    rows: np.ndarray

    def interval(self, n_images: int) -> tuple[float, float]:
        """The 95 % interval over images; NaN where there is only one."""
        if n_images < 2:
            return np.nan, np.nan
        by_image = np.bincount(self.rows, self.influence, n_images)
        half = 1.96 * float(np.sqrt(n_images / (n_images - 1) * (by_image**2).sum()))
        return self.value - half, self.value + half


def blocks(count: int) -> Iterator[slice]:
    """Slices of at most 1,024 rows, so that nothing n x n is ever kept."""
    return (slice(start, min(start + BLOCK_ROWS, count)) for start in range(0, count, BLOCK_ROWS))


def mean(values: np.ndarray, rows: np.ndarray) -> Estimate:
    average = float(values.mean())
    return Estimate(average, (values - average) / len(values), rows)


def skewness(values: np.ndarray, rows: np.ndarray) -> Estimate:
    """Third standardised moment; 0 where all values are equal."""
    spread = values.std()
    if not spread:
        return Estimate(0.0, np.zeros(len(values)), rows)
    z = (values - values.mean()) / spread
    skew = float((z**3).mean())
    return Estimate(skew, (z**3 - skew - 3 * z - 1.5 * skew * (z**2 - 1)) / len(z), rows)


def uniformity(x: np.ndarray, rows: np.ndarray, t: float = 2.0) -> Estimate:
    """log of the mean of exp(-t ||a - b||^2) over all pairs of the points x (p, d), unit norm."""
    if len(x) < 2:
        raise ValueError(f"Uniformity is about pairs of points, and there is {len(x)}.")
    nearness = np.empty(len(x))  # of each point to the others
    for block in blocks(len(x)):
        kernel = np.exp(2 * t * (x[block] @ x.T - 1))  # ||a - b||^2 = 2 - 2 a.b
        here = np.arange(block.start, block.stop)
        kernel[here - block.start, here] = 0
        nearness[block] = kernel.sum(axis=1, dtype=np.float64) / (len(x) - 1)
    average = nearness.mean()
    return Estimate(
        float(np.log(average)), 2 * (nearness / average - 1) / len(x), rows
    )  # a pair has 2 points


def modality_gap(images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray) -> Estimate:
    """Distance between the two means."""
    centres = [x.mean(axis=0, dtype=np.float64) for x in (images, texts)]
    gap = centres[0] - centres[1]
    length = float(np.linalg.norm(gap))
    towards = gap / length if length else gap
    influence = [
        sign * ((x @ towards) - centre @ towards) / len(x)
        for sign, x, centre in zip((1, -1), (images, texts), centres, strict=True)
    ]
    return Estimate(
        length, np.concatenate(influence), np.concatenate([np.arange(len(images)), image_of_caption])
    )


def effective_rank(x: np.ndarray, rows: np.ndarray) -> Estimate:
    """exp of the entropy H of p_k = sigma_k / sum sigma, the singular values of x (p, d)."""
    gram = np.zeros((x.shape[1], x.shape[1]))
    for block in blocks(len(x)):
        part = x[block].astype(np.float64)
        gram += part.T @ part
    squares, directions = np.linalg.eigh(gram)
    kept = squares > squares[-1] * 1e-14  # the others are rounding
    sigma, directions = np.sqrt(squares[kept]), directions[:, kept]
    p = sigma / sigma.sum()
    entropy = -float((p * np.log(p)).sum())
    rank = float(np.exp(entropy))
    # d rank = rank dH; dH = -sum_k (log p_k + H) d sigma_k / sum sigma; d sigma_k = (x_a . v_k)^2 / 2 sigma_k
    slope = -rank * (np.log(p) + entropy) / (2 * sigma * sigma.sum())
    influence = np.concatenate([(x[block] @ directions) ** 2 @ slope for block in blocks(len(x))])
    return Estimate(rank, influence, rows)


def distance_to_others(
    images: np.ndarray, image_rows: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sums of the Euclidean distances of images (n, d) and texts (m, d) that do not belong together.

    image_rows (n,) and owner (m,) number the images on both sides. Returns the sum of each image (n,), the
    number of texts in it (n,), the sum of each text (m,) and the number of images in it (m,).
    """
    of_images, counts_of_images = np.zeros(len(images)), np.zeros(len(images))
    of_texts, counts_of_texts = np.zeros(len(texts)), np.zeros(len(texts))
    for block in blocks(len(texts)):
        others = image_of_caption[block, None] != image_rows
        distance = np.sqrt(np.maximum(2 - 2 * (texts[block] @ images.T), 0)) * others
        of_images += distance.sum(axis=0, dtype=np.float64)
        counts_of_images += others.sum(axis=0)
        of_texts[block] = distance.sum(axis=1, dtype=np.float64)
        counts_of_texts[block] = others.sum(axis=1)
    return of_images, counts_of_images, of_texts, counts_of_texts


def negative_distance(
    images: np.ndarray, image_rows: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray
) -> Estimate:
    """Mean distance of images and texts that do not belong together; NaN if all do."""
    of_images, counts_of_images, of_texts, counts_of_texts = distance_to_others(
        images, image_rows, texts, image_of_caption
    )
    pairs = counts_of_texts.sum()
    average = float(of_texts.sum() / pairs) if pairs else np.nan
    sums, counts = np.concatenate([of_images, of_texts]), np.concatenate([counts_of_images, counts_of_texts])
    return Estimate(
        average, (sums - average * counts) / max(pairs, 1), np.concatenate([image_rows, image_of_caption])
    )
