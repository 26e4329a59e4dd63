"""Where embeddings lie: how near pairs are, how evenly the sphere is used, how far apart the modalities."""

import numpy as np
import pandas as pd

from analysis.geometry import estimates
from analysis.geometry.catalogue import MEASURES
from analysis.geometry.estimates import Estimate, blocks

MOST_POINTS = 10_000
"""All pairs are looked at among so many points; of more, those of a seeded sample."""
MOST_DRAWN = 2_000
"""Images, and captions, behind the negative pairs of a histogram."""
NEAREST = 10


def alignment(x: np.ndarray, y: np.ndarray, alpha: float = 2.0) -> float:
    """E ||x - y||^alpha over positive pairs: row i of x (m, d) with row i of y (m, d), unit norm.

    Lower is better, 0 is perfect. Wang & Isola, Understanding Contrastive Representation Learning through
    Alignment and Uniformity on the Hypersphere, ICML 2020, arXiv:2005.10242.

    >>> alignment(np.array([[1.0, 0.0]]), np.array([[-1.0, 0.0]]))
    4.0
    """
    if x.shape != y.shape:
        raise ValueError(f"x is {x.shape} and y {y.shape}: each row of one belongs to a row of the other.")
    _check(x, y, np.arange(len(x)))
    return float(np.mean(_to_own(x, y, np.arange(len(x))) ** alpha))


def uniformity(x: np.ndarray, t: float = 2.0, *, seed: int = 0) -> float:
    """log E exp(-t ||a - b||^2) over pairs of different rows of x (n, d), unit norm.

    Lower is better; 0 if all are one point, about -2t for the uniform distribution in many dimensions (Wang &
    Isola, as for `alignment`). Exact for up to 10,000 rows; of more, all pairs of a seeded sample of 10,000,
    whose error the interval of `geometry` covers.

    >>> uniformity(np.eye(2))
    -4.0
    """
    _check(x, x, np.arange(len(x)))
    return estimates.uniformity(x[_sample(len(x), seed)], np.arange(min(len(x), MOST_POINTS)), t).value


def modality_gap(images: np.ndarray, texts: np.ndarray) -> float:
    """Distance between the means of images (n, d) and captions (m, d), in [0, 2] for unit rows.

    Liang et al., Mind the Gap, NeurIPS 2022, arXiv:2203.02053.
    """
    return estimates.modality_gap(images, texts, np.zeros(len(texts), np.int64)).value


def pair_distances(
    images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distance of each caption to its image (m,) and its mean distance to the others (m,).

    In [0, 2]; lower is better for the first, higher for the second (AsCL, Fig. 4). Arguments as in
    `geometry`. Of more than 10,000 images the others are a seeded sample; NaN where there are none.
    """
    _check(images, texts, image_of_caption)
    kept = _sample(len(images), seed)
    *_, sums, counts = estimates.distance_to_others(images[kept], kept, texts, image_of_caption)
    return _to_own(images, texts, image_of_caption), np.divide(
        sums, counts, np.full(len(sums), np.nan), where=counts > 0
    )


def k_occurrences(queries: np.ndarray, items: np.ndarray, k: int = NEAREST) -> np.ndarray:
    """How often each item (n, d) is among the k most similar to a query (m, d): integers (n,)."""
    if not 1 <= k <= len(items):
        raise ValueError(f"k={k}: of {len(items)} items the nearest can be 1 to {len(items)}.")
    counts = np.zeros(len(items), np.int64)
    for block in blocks(len(queries)):
        nearest = np.argpartition(queries[block] @ items.T, -k, axis=1)[:, -k:]
        counts += np.bincount(nearest.ravel(), minlength=len(items))
    return counts


def hubness(queries: np.ndarray, items: np.ndarray, k: int = NEAREST) -> float:
    """Skewness of the items' k-occurrences: 0 is even; above 1 a few are found for everything.

    Radovanović, Nanopoulos & Ivanović, Hubs in Space, JMLR 11, 2010.
    """
    counts = k_occurrences(queries, items, k)
    return estimates.skewness(counts, np.arange(len(counts))).value


def effective_rank(x: np.ndarray) -> float:
    """How many dimensions x (n, d) uses, from 1 to d: exp of the entropy of its singular values' shares.

    Roy & Vetterli, The Effective Rank, EUSIPCO 2007. Of embeddings as they are, not centred: RankMe (Garrido
    et al., ICML 2023, arXiv:2210.02885).
    """
    return estimates.effective_rank(x, np.arange(len(x))).value


def geometry(
    images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray, *, seed: int = 0
) -> pd.DataFrame:
    """All `MEASURES` of a gallery, each with its 95 % interval over images (see `analysis.geometry.estimates`).

    What needs all pairs takes at most 10,000 points, hubness 10,000 images with their captions; of more, a
    seeded sample, and its interval is accordingly wider. In the interval of hubness the k-occurrences stay
    as they are and the items vary.

    Args:
        images: (n, d) unit rows.
        texts: (m, d) unit rows.
        owner: (m,) image row of each caption.

    Returns:
        Index: the names of `MEASURES`; columns value, low, high.

    Raises:
        ValueError: shapes that do not fit, rows that are not unit vectors, fewer than two images.
    """
    _check(images, texts, image_of_caption)
    n, m = len(images), len(texts)
    every, own = np.arange(n), _to_own(images, texts, image_of_caption)
    some_images, some_texts = _sample(n, seed), _sample(m, seed)
    both = _sample(n + m, seed)
    of_both = [both[both < n], both[both >= n] - n]
    kept = np.flatnonzero(np.isin(image_of_caption, some_images))
    found = {
        "alignment": estimates.mean(own**2, image_of_caption),
        "uniformity_images": estimates.uniformity(images[some_images], some_images),
        "uniformity_captions": estimates.uniformity(texts[some_texts], image_of_caption[some_texts]),
        "uniformity_joint": estimates.uniformity(
            np.concatenate([images[of_both[0]], texts[of_both[1]]]),
            np.concatenate([of_both[0], image_of_caption[of_both[1]]]),
        ),
        "modality_gap": estimates.modality_gap(images, texts, image_of_caption),
        "positive_distance": estimates.mean(own, image_of_caption),
        "negative_distance": estimates.negative_distance(
            images[some_images], some_images, texts[some_texts], image_of_caption[some_texts]
        ),
        "hubness_images": _hubness(texts[kept], images[some_images], some_images),
        "hubness_captions": _hubness(images[some_images], texts[kept], image_of_caption[kept]),
        "effective_rank_images": estimates.effective_rank(images, every),
        "effective_rank_captions": estimates.effective_rank(texts, image_of_caption),
    }
    table = {name: (found[name].value, *found[name].interval(n)) for name in MEASURES}
    return pd.DataFrame.from_dict(table, orient="index", columns=["value", "low", "high"])


def similarity_histograms(
    images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray, bins: int = 60, *, seed: int = 0
) -> pd.DataFrame:
    """Cosines of captions with their own image (positive) and with the others (negative).

    All positive pairs; the negative ones of up to 2,000 images and 2,000 captions, of more a seeded sample.
    Arguments as in `geometry`.

    Returns:
        `bins` rows: left, right (edges, in [-1, 1]), positive, negative (densities: each adds up to 1 over
        the widths of the bins).
    """
    _check(images, texts, image_of_caption)
    positive = 1 - _to_own(images, texts, image_of_caption) ** 2 / 2
    rows, columns = _sample(len(images), seed, MOST_DRAWN), _sample(len(texts), seed, MOST_DRAWN)
    negative = (images[rows] @ texts[columns].T)[rows[:, None] != image_of_caption[columns]]
    edges = np.histogram_bin_edges(np.concatenate([positive, negative]), bins)
    table = pd.DataFrame({"left": edges[:-1], "right": edges[1:]})
    for name, cosines in (("positive", positive), ("negative", negative)):
        counts, _ = np.histogram(cosines, edges)
        table[name] = counts / (max(len(cosines), 1) * np.diff(edges))
    return table


def _hubness(queries: np.ndarray, items: np.ndarray, rows: np.ndarray) -> Estimate:
    return estimates.skewness(k_occurrences(queries, items, min(NEAREST, len(items))), rows)


def _to_own(images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray) -> np.ndarray:
    """The distance of each caption to its image, (m,)."""
    return np.concatenate(
        [np.linalg.norm(images[image_of_caption[b]] - texts[b], axis=1) for b in blocks(len(texts))]
    )


def _sample(count: int, seed: int, most: int | None = None) -> np.ndarray:
    """All rows, or, of more than `most` (10,000), a seeded choice of as many; ascending."""
    most = most or MOST_POINTS
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def _check(images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray) -> None:
    if images.ndim != 2 or texts.ndim != 2 or images.shape[1] != texts.shape[1] or not len(texts):
        raise ValueError(f"Embeddings of shape {images.shape} and {texts.shape}: expected (n, d) and (m, d).")
    if (
        image_of_caption.shape != (len(texts),)
        or image_of_caption.min() < 0
        or image_of_caption.max() >= len(images)
    ):
        raise ValueError(
            f"owner {image_of_caption.shape} must give each of {len(texts)} captions an image row in [0, {len(images)})."
        )
    for x in (images, texts):
        for block in blocks(len(x)):
            norms = np.linalg.norm(x[block], axis=1)
            if not (np.abs(norms - 1) < 1e-2).all():
                row = int(np.argmin(np.abs(norms - 1) < 1e-2))
                raise ValueError(f"Row {block.start + row} has norm {norms[row]:.3g}; expected unit vectors.")
