"""Retrieval measures: pure functions of a similarity matrix."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

BLOCK_ROWS = 256
CUTOFFS = (1, 5, 10)


class Rows(Protocol):
    """A matrix read a few rows at a time: an array, a tensor, a `CosineRows` or a `LazyRows`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice, /) -> "np.ndarray | torch.Tensor": ...


@dataclass(frozen=True)
class CosineRows:
    """Cosines of unit vectors (n_images, d) and (n_captions, d); only the rows asked for ever exist."""

    images: np.ndarray
    captions: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.images), len(self.captions)

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        return self.images[rows] @ self.captions.T


@dataclass(frozen=True)
class LazyRows:
    """An (n, m) matrix that `read` makes a few rows at a time, from a slice of its rows."""

    shape: tuple[int, int]
    read: Callable[[slice], np.ndarray]

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        return self.read(rows)


Truth = np.ndarray | LazyRows
"""A matrix of what is true, read in the same blocks of rows as the similarity."""


def blocks(similarity: Rows) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield a similarity matrix as blocks of rows; raise ValueError where it has NaN."""
    for start in range(0, similarity.shape[0], BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        block = similarity[rows]
        if isinstance(block, torch.Tensor):
            block = block.detach().to("cpu", torch.promote_types(block.dtype, torch.float32)).numpy()
        if np.isnan(block).any():
            raise ValueError(f"The similarity matrix has NaN in rows {start} to {start + len(block) - 1}.")
        yield rows, block


def ranks(similarity: Rows, image_of_caption: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rank of the right answer to every query, 1 = best, in both directions.

    A rival is an image (caption) other than the query's own. The rank is 1 + (rivals that score strictly
    better) + (rivals that score the same) / 2: the mean of the best and the worst place among equals.
    Counting only the strictly better ones, as some do, gives a collapsed model, to which all things are
    equally similar, a perfect score; without ties the two agree.

    Args:
        similarity: (n_images, n_captions), finite or infinite; read in blocks of rows, never copied whole.
        image_of_caption: (n_captions,) integers in [0, n_images); an image may have any number, also none.

    Returns:
        T2I ranks (n_captions,) of each caption's image among the images, and I2T ranks (n_images,) of each
        image's best own caption among the captions of others (NaN: it has none); float64.

    Raises:
        ValueError: shapes that do not fit, an index out of range, NaN in the similarity.
    """
    owner = np.asarray(image_of_caption, dtype=np.int64)
    n_images, n_captions = similarity.shape
    if owner.shape != (n_captions,):
        raise ValueError(f"image_of_caption has shape {owner.shape}, the similarity {n_captions} captions.")
    if n_captions == 0:
        raise ValueError("There are no captions to rank.")
    if owner.min() < 0 or owner.max() >= n_images:
        raise ValueError(f"image_of_caption must lie in [0, {n_images}), got {owner.min()} to {owner.max()}.")

    own = np.empty(n_captions)  # each caption's similarity to its own image
    for rows, block in blocks(similarity):
        here = np.flatnonzero((owner >= rows.start) & (owner < rows.stop))
        own[here] = block[owner[here] - rows.start, here]
    own = own.astype(block.dtype)  # nothing is lost, and comparing needs no wider copy of a block
    best = np.full(n_images, -np.inf, dtype=np.promote_types(block.dtype, np.float32))
    np.maximum.at(best, owner, own)

    t2i = np.full(n_captions, 0.5)  # the own image is found once among the equals
    i2t = 1 - np.bincount(owner, own == best[owner], n_images) / 2  # so are own captions as good as the best
    for rows, block in blocks(similarity):
        t2i += (block > own).sum(0) + (block == own).sum(0) / 2
        mark = best[rows, None]
        i2t[rows] += (block > mark).sum(1) + (block == mark).sum(1) / 2
    i2t[np.bincount(owner, minlength=n_images) == 0] = np.nan
    return t2i, i2t


def retrieval_metrics(similarity: Rows, image_of_caption: np.ndarray) -> dict[str, float]:
    """Recall at 1, 5 and 10 in percent, their sum (rSum, at most 600) and median ranks, in both directions.

    T2I: the share of captions whose image is among the first k images. I2T: the share of images with at
    least one of their captions among the first k captions; images without captions are no queries.
    Arguments, ties and errors as in `ranks`.

    Three images with one caption each. Read down for T2I: captions 0 and 1 find their image first (.9, .6),
    caption 2 finds its own second (.5 after .7). Read across for I2T: images 0 and 2 find their captions
    first, image 1 prefers caption 2 (.7) to its own (.6).

    >>> similarity = np.array([[.9, .2, .1], [.3, .6, .7], [.0, .4, .5]])
    >>> m = retrieval_metrics(similarity, np.arange(3))
    >>> {name: round(value, 1) for name, value in m.items() if "5" not in name and "10" not in name}
    {'t2i_r1': 66.7, 'i2t_r1': 66.7, 'rsum': 533.3, 't2i_medr': 1.0, 'i2t_medr': 1.0}
    """
    return summary(*ranks(similarity, image_of_caption))


def summary(t2i: np.ndarray, i2t: np.ndarray) -> dict[str, float]:
    """The measures of `retrieval_metrics`, from the ranks that `ranks` returns."""
    queries = {"t2i": t2i, "i2t": i2t[~np.isnan(i2t)]}
    result = {f"{way}_r{k}": 100 * float(np.mean(r <= k)) for way, r in queries.items() for k in CUTOFFS}
    result["rsum"] = sum(result.values())
    return result | {f"{way}_medr": float(np.median(r)) for way, r in queries.items()}


def fold_ranks(
    similarity: Rows, image_of_caption: np.ndarray, folds: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """`ranks`, with every query ranked among its own fold alone: so many equal runs of consecutive images.

    Five folds of 5,000 images are the COCO 1K protocol. Its recall is the mean over folds, which is that over
    all queries where each image has as many captions as any other. Arguments, returns and errors as in
    `ranks`; also ValueError where the images cannot be cut into equal folds.
    """
    owner = np.asarray(image_of_caption, dtype=np.int64)
    n_images, n_captions = similarity.shape
    if n_images % folds:
        raise ValueError(f"{n_images} images cannot be cut into {folds} equal folds.")
    size = n_images // folds
    t2i, i2t = np.empty(n_captions), np.empty(n_images)
    for start in range(0, n_images, size):
        captions = np.flatnonzero((owner >= start) & (owner < start + size))
        fold = similarity[start : start + size][:, captions]
        t2i[captions], i2t[start : start + size] = ranks(fold, owner[captions] - start)
    return t2i, i2t


def precision_at_r(similarity: Rows, relevant: Truth) -> tuple[np.ndarray, np.ndarray]:
    r"""How many of the things true of a query come first: AP@R and R-Precision of every query, in [0, 1].

    With R the number of items that are relevant to the query, and P(r) the share of relevant ones among the
    first r:

        AP@R        = 1/R sum_{r <= R} [item r is relevant] P(r)        (its mean over queries is mAP@R)
        R-Precision = P(R)

    Args:
        similarity: (n_query, n_item), higher is better; read in blocks of rows. Equal scores rank in the
            order of the items.
        relevant: (n_query, n_item) bool; read in the same blocks.

    Returns:
        (n_query,) float64 twice; NaN for queries to which nothing is relevant.

    Raises:
        ValueError: shapes that do not fit, NaN in the similarity.

    References:
        Musgrave et al., A Metric Learning Reality Check, ECCV 2020; Chun et al., ECCV Caption, ECCV 2022.

    >>> ap, precision = precision_at_r(np.array([[4, 3, 2, 1]]), np.array([[True, False, True, True]]))
    >>> [round(float(value[0]), 6) for value in (ap, precision)]
    [0.555556, 0.666667]
    """
    if similarity.shape != relevant.shape:
        raise ValueError(f"The similarity is {similarity.shape}, relevance {relevant.shape}.")
    places = np.arange(1, similarity.shape[1] + 1)
    ap, precision = np.full((2, similarity.shape[0]), np.nan)
    for rows, block in blocks(similarity):
        ranked = np.take_along_axis(relevant[rows], np.argsort(-block, axis=1, kind="stable"), axis=1)
        count = ranked.sum(axis=1)
        some = count > 0
        hits = (ranked & (places <= count[:, None]))[some]
        ap[rows][some] = (hits * hits.cumsum(axis=1) / places).sum(axis=1) / count[some]
        precision[rows][some] = hits.sum(axis=1) / count[some]
    return ap, precision


def label_map(similarity: Rows, query_labels: np.ndarray, item_labels: np.ndarray) -> dict[str, float]:
    """Mean average precision in percent, where an item is relevant to a query if they share a label.

    The means of `label_precision`, whose arguments these are, over queries to which any item is relevant.
    Raises ValueError as it does, and where there is no such query.

    >>> label_map(np.array([[3, 2, 1]]), np.array([[True]]), np.array([[True], [False], [True]]))
    {'map@n_query': 100.0, 'map@all': 83.33333333333333}
    """
    found = label_precision(similarity, query_labels, item_labels)
    if np.isnan(found["map@all"]).all():
        raise ValueError("No query shares a label with any item.")
    return {name: 100 * float(np.nanmean(value)) for name, value in found.items()}


def label_precision(
    similarity: Rows, query_labels: np.ndarray, item_labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Average precision of every query, where an item is relevant to a query if they share a label.

    AP of a query = mean, over the relevant items in the window, of the precision at each one's rank. The
    window of `map@n_query`, which CRCGS and others report, is the first n_query ranks, with n_query the
    number of queries; a query that finds nothing relevant there counts 0. That of `map@all` is the whole
    ranking. Equal scores rank in the order of the items.

    Args:
        similarity: (n_query, n_item), higher is better, integers or floats; read in blocks of rows.
        query_labels: (n_query, C) bool.
        item_labels: (n_item, C) bool.

    Returns:
        Name of the window -> (n_query,) float64 in [0, 1]; NaN for queries to which no item at all is
        relevant.

    Raises:
        ValueError: shapes that do not fit, NaN in the similarity.

    One query ranks three items: relevant, not, relevant. Within the first rank all is right; over all, the
    precision is 1/1 at the first and 2/3 at the second find, on average 5/6.
    """
    n_query, n_item = similarity.shape
    if len(query_labels) != n_query or len(item_labels) != n_item:
        raise ValueError(
            f"Labels of {len(query_labels)} queries and {len(item_labels)} items, a similarity of "
            f"{n_query} by {n_item}."
        )
    windows = {"map@n_query": min(n_query, n_item), "map@all": n_item}
    found = {name: np.full(n_query, np.nan) for name in windows}
    carried = item_labels.T.astype(np.float32)
    for rows, block in blocks(similarity):
        relevant = query_labels[rows].astype(np.float32) @ carried > 0
        ranked = np.take_along_axis(relevant, np.argsort(-block, axis=1, kind="stable"), axis=1)
        some = ranked.any(axis=1)
        ranked = ranked[some]
        hits = ranked.cumsum(axis=1)
        precision = np.where(ranked, hits / np.arange(1, n_item + 1), 0).cumsum(axis=1)
        for name, window in windows.items():
            found[name][rows][some] = precision[:, window - 1] / np.maximum(hits[:, window - 1], 1)
    return found
