"""Geometry of an embedding space: alignment, uniformity, modality gap, hubness, effective rank, distances."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.blocks import blocks
from analysis.geometry import estimates
from analysis.geometry.catalogue import GEOMETRY, NEAREST, missing
from analysis.geometry.estimates import Estimate
from analysis.neighbours import top_k
from itr_core.metrics.arrays import as_embeddings, as_image_rows
from itr_core.metrics.sampling import sample_rows

MAX_POINTS = 10_000
"""Most points of which all pairs are measured; of more, a seeded sample."""
MAX_HISTOGRAM_ROWS = 2_000
"""Most images, and most captions, behind the negative pairs of a histogram."""
_LEAST_SPAN = 0.01
"""Least range of the cosines of a histogram."""


def alignment(x: ArrayLike, y: ArrayLike, alpha: float = 2.0) -> float:
    """Measure how near positive pairs are: E ||x - y||^alpha over pairs of rows.

    Args:
        x: (m, d) unit vectors.
        y: (m, d) unit vectors; row i belongs to row i of x.
        alpha: exponent, above 0.

    Returns:
        The mean, in [0, 2^alpha]; lower is better, 0 is perfect.

    Raises:
        ValueError: shapes that do not fit, or rows that are not unit vectors.

    References:
        Wang & Isola, Understanding Contrastive Representation Learning through Alignment and Uniformity on
        the Hypersphere, ICML 2020, arXiv:2005.10242.

    >>> alignment([[1.0, 0.0]], [[-1.0, 0.0]])
    4.0
    """
    x, y = as_embeddings(x, "x"), as_embeddings(y, "y")
    if x.shape != y.shape:
        raise ValueError(f"x is {x.shape} and y {y.shape}: each row of one belongs to a row of the other.")
    _check_shapes(x, y)
    _check_unit(x)
    _check_unit(y)
    return float(np.mean(_distance_to_own(x, y, np.arange(len(x))) ** alpha))


def uniformity(x: ArrayLike, t: float = 2.0, *, seed: int = 0) -> float:
    """Measure how evenly points cover the sphere: log E exp(-t ||a - b||^2) over pairs of different rows.

    Exact for up to 10,000 rows. Of more, all pairs of a sample of 10,000 rows; the interval that `geometry`
    reports covers the error of sampling.

    Args:
        x: (n, d) unit vectors, n at least 2.
        t: scale, above 0.
        seed: of the sample.

    Returns:
        At most 0; lower is better. 0 if all points are equal, about -2t for the uniform distribution in many
        dimensions.

    Raises:
        ValueError: another shape, fewer than two rows, or rows that are not unit vectors.

    References:
        Wang & Isola, ICML 2020, arXiv:2005.10242.

    >>> uniformity([[1, 0], [0, 1]])
    -4.0
    """
    x = as_embeddings(x, "x")
    _check_shapes(x, x)
    _check_unit(x)
    sample = sample_rows(len(x), MAX_POINTS, seed)
    return estimates.uniformity(x[sample], np.arange(len(sample)), t).value


def modality_gap(images: ArrayLike, texts: ArrayLike) -> float:
    """Measure the distance between the mean image embedding and the mean caption embedding.

    Args:
        images: (n, d) unit vectors.
        texts: (m, d) unit vectors.

    Returns:
        A distance in [0, 2].

    Raises:
        ValueError: shapes that do not fit.

    References:
        Liang et al., Mind the Gap, NeurIPS 2022, arXiv:2203.02053.
    """
    images, texts = as_embeddings(images, "images"), as_embeddings(texts, "texts")
    _check_shapes(images, texts)
    return estimates.modality_gap(images, texts, np.zeros(len(texts), np.int64)).value


def k_occurrences(queries: ArrayLike, items: ArrayLike, k: int = NEAREST) -> np.ndarray:
    """Count how often each item is among the k items most similar to a query.

    Args:
        queries: (m, d) unit vectors.
        items: (n, d) unit vectors.
        k: number of nearest items, in [1, n].

    Returns:
        (n,) int64; they add up to m k.

    Raises:
        ValueError: shapes that do not fit, or k out of range.
    """
    queries, items = as_embeddings(queries, "queries"), as_embeddings(items, "items")
    _check_shapes(items, queries)
    if not 1 <= k <= len(items):
        raise ValueError(f"k={k} must be in [1, {len(items)}], the number of items.")
    counts = np.zeros(len(items), np.int64)
    for block in blocks(len(queries)):
        nearest = top_k(queries[block] @ items.T, k)
        counts += np.bincount(nearest.ravel(), minlength=len(items))
    return counts


def hubness(queries: ArrayLike, items: ArrayLike, k: int = NEAREST) -> float:
    """Measure hubness: the skewness of the `k_occurrences` of the items.

    Arguments and errors as in `k_occurrences`.

    Returns:
        0 if all items are found equally often; above 1, a few items are found for many queries.

    References:
        Radovanović, Nanopoulos & Ivanović, Hubs in Space, JMLR 11, 2010.
    """
    counts = k_occurrences(queries, items, k)
    return estimates.skewness(counts, np.arange(len(counts))).value


def effective_rank(x: ArrayLike) -> float:
    """Measure how many dimensions embeddings use: exp of the entropy of their normalised singular values.

    The embeddings are not centred, as in RankMe.

    Args:
        x: (n, d) embeddings.

    Returns:
        A number in [1, min(n, d)].

    Raises:
        ValueError: another shape, or no rows.

    References:
        Roy & Vetterli, The Effective Rank, EUSIPCO 2007; Garrido et al., RankMe, ICML 2023, arXiv:2210.02885.
    """
    x = as_embeddings(x, "x")
    _check_shapes(x, x)
    return estimates.effective_rank(x, np.arange(len(x))).value


def geometry(
    images: ArrayLike, texts: ArrayLike, image_of_caption: ArrayLike, *, seed: int = 0
) -> pd.DataFrame:
    """Compute every metric of `GEOMETRY` with its 95 % interval over images.

    Metrics over all pairs use at most 10,000 points, hubness at most 10,000 images with their captions. Of
    more, they use a seeded sample, and their intervals are wider. The interval of hubness resamples items
    whose k-occurrences are fixed. `analysis.geometry.estimates` explains the intervals.

    Args:
        images: (n, d) unit vectors, n at least 1.
        texts: (m, d) unit vectors; m can be 0.
        image_of_caption: (m,) image row of each caption.
        seed: of the samples.

    Returns:
        Index: the names in `GEOMETRY`. Columns: value, low, high. All three are NaN for a metric that needs
        more images or captions (`analysis.geometry.catalogue.missing`), low and high for a single image.

    Raises:
        ValueError: shapes that do not fit, or rows that are not unit vectors.
    """
    images, texts, image_of_caption = _checked(images, texts, image_of_caption, least_texts=0)
    n, m = len(images), len(texts)
    own = _distance_to_own(images, texts, image_of_caption)
    image_sample, text_sample = sample_rows(n, MAX_POINTS, seed), sample_rows(m, MAX_POINTS, seed)
    joint = sample_rows(n + m, MAX_POINTS, seed)
    joint_images, joint_texts = joint[joint < n], joint[joint >= n] - n
    of_sample = np.flatnonzero(np.isin(image_of_caption, image_sample))  # captions of the sampled images
    estimate: dict[str, Callable[[], Estimate]] = {
        "alignment": lambda: estimates.mean(own**2, image_of_caption),
        "uniformity_images": lambda: estimates.uniformity(images[image_sample], image_sample),
        "uniformity_captions": lambda: estimates.uniformity(
            texts[text_sample], image_of_caption[text_sample]
        ),
        "uniformity_joint": lambda: estimates.uniformity(
            np.concatenate([images[joint_images], texts[joint_texts]]),
            np.concatenate([joint_images, image_of_caption[joint_texts]]),
        ),
        "modality_gap": lambda: estimates.modality_gap(images, texts, image_of_caption),
        "positive_distance": lambda: estimates.mean(own, image_of_caption),
        "negative_distance": lambda: estimates.negative_distance(
            images[image_sample], image_sample, texts[text_sample], image_of_caption[text_sample]
        ),
        "hubness_images": lambda: _hubness(texts[of_sample], images[image_sample], image_sample),
        "hubness_captions": lambda: _hubness(
            images[image_sample], texts[of_sample], image_of_caption[of_sample]
        ),
        "effective_rank_images": lambda: estimates.effective_rank(images, np.arange(n)),
        "effective_rank_captions": lambda: estimates.effective_rank(texts, image_of_caption),
    }
    table = {}
    for name in GEOMETRY:
        if missing(name, n, m):
            table[name] = np.nan, np.nan, np.nan
        else:
            found = estimate[name]()
            table[name] = found.value, *found.interval(n)
    return pd.DataFrame.from_dict(table, orient="index", columns=["value", "low", "high"])


def similarity_histograms(
    images: ArrayLike, texts: ArrayLike, image_of_caption: ArrayLike, bins: int = 60, *, seed: int = 0
) -> pd.DataFrame:
    """Count the cosines of captions with their own image (positive) and with other images (negative).

    All positive pairs count. Negative pairs are those of at most 2,000 images and 2,000 captions; of more, a
    seeded sample.

    Args:
        images: (n, d) unit vectors.
        texts: (m, d) unit vectors.
        image_of_caption: (m,) image row of each caption.
        bins: number of bins.
        seed: of the samples.

    Returns:
        One row per bin. Columns: left, right (edges, in [-1, 1]); positive, negative (densities, whose
        products with the widths of the bins add up to 1).

    Raises:
        ValueError: as in `geometry`.
    """
    images, texts, image_of_caption = _checked(images, texts, image_of_caption)
    positive = 1 - _distance_to_own(images, texts, image_of_caption) ** 2 / 2
    rows = sample_rows(len(images), MAX_HISTOGRAM_ROWS, seed)
    columns = sample_rows(len(texts), MAX_HISTOGRAM_ROWS, seed)
    negative = (images[rows] @ texts[columns].T)[rows[:, None] != image_of_caption[columns]]
    cosines = np.concatenate([positive, negative])
    margin = _LEAST_SPAN / 2 if np.ptp(cosines) < _LEAST_SPAN else 0  # for equal cosines: float32 has no bins
    edges = np.histogram_bin_edges(cosines, bins, (cosines.min() - margin, cosines.max() + margin))
    table = pd.DataFrame({"left": edges[:-1], "right": edges[1:]})
    for name, cosines in (("positive", positive), ("negative", negative)):
        counts, _ = np.histogram(cosines, edges)
        table[name] = counts / (max(len(cosines), 1) * np.diff(edges))
    return table


def _hubness(queries: np.ndarray, items: np.ndarray, rows: np.ndarray) -> Estimate:
    return estimates.skewness(k_occurrences(queries, items, min(NEAREST, len(items))), rows)


def _distance_to_own(images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray) -> np.ndarray:
    """Return the Euclidean distance of each caption to its image, (m,)."""
    distances = [np.linalg.norm(images[image_of_caption[b]] - texts[b], axis=1) for b in blocks(len(texts))]
    return np.concatenate(distances) if distances else np.empty(0, texts.dtype)


def _checked(
    images: ArrayLike, texts: ArrayLike, image_of_caption: ArrayLike, *, least_texts: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs as arrays; raise ValueError if they do not fit."""
    images, texts = as_embeddings(images, "images"), as_embeddings(texts, "texts")
    _check_shapes(images, texts, least_texts)
    image_of_caption = as_image_rows(image_of_caption, len(images), len(texts))
    _check_unit(images)
    _check_unit(texts)
    return images, texts, image_of_caption


def _check_shapes(images: np.ndarray, texts: np.ndarray, least_texts: int = 1) -> None:
    if images.shape[1] != texts.shape[1] or not len(images) or len(texts) < least_texts:
        raise ValueError(
            f"Embeddings of shape {images.shape} and {texts.shape}: expected (n, d) and (m, d) with at least "
            "one row each."
        )


def _check_unit(x: np.ndarray) -> None:
    for block in blocks(len(x)):
        norms = np.linalg.norm(x[block], axis=1)
        unit = np.abs(norms - 1) < 1e-2
        if not unit.all():
            row = int(np.argmin(unit))
            raise ValueError(f"Row {block.start + row} has norm {norms[row]:.3g}; expected unit vectors.")
