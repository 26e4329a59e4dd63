"""Precision of a ranking: average precision, R-Precision, and mean average precision over labels."""

import numpy as np
from numpy.typing import ArrayLike

from itr_core.metrics.arrays import as_array
from itr_core.metrics.similarity import RelevanceRows, Rows, as_relevance, as_rows, blocks


def precision_at_r(
    similarity: Rows | ArrayLike, relevant: RelevanceRows | ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    r"""Compute AP@R and R-Precision of every query, in [0, 1].

    With R the number of items that are relevant to the query, and P(r) the fraction of relevant items among
    the first r:

        AP@R        = 1/R sum_{r <= R} [item r is relevant] P(r)        (its mean over queries is mAP@R)
        R-Precision = P(R)

    Args:
        similarity: (n_query, n_item), higher is better; read in blocks of rows. Equal scores rank in the
            order of the items.
        relevant: (n_query, n_item) bool; read in the same blocks.

    Returns:
        (n_query,) float64 twice; NaN for queries without relevant items.

    Raises:
        ValueError: inconsistent shapes, or NaN in the similarity.

    References:
        Musgrave et al., A Metric Learning Reality Check, ECCV 2020; Chun et al., ECCV Caption, ECCV 2022.

    >>> ap, precision = precision_at_r(np.array([[4, 3, 2, 1]]), np.array([[True, False, True, True]]))
    >>> [round(float(value[0]), 6) for value in (ap, precision)]
    [0.555556, 0.666667]
    """
    similarity, relevant = as_rows(similarity), as_relevance(relevant)
    if tuple(similarity.shape) != tuple(relevant.shape):
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


def label_map(
    similarity: Rows | ArrayLike,
    query_labels: ArrayLike,
    item_labels: ArrayLike,
    *,
    n_query: int | None = None,
) -> dict[str, float]:
    """Compute label mAP in percent: an item is relevant to a query if they share a label.

    It is the mean of `label_precision`, with the same arguments, over queries with relevant items.

    Raises:
        ValueError: as `label_precision`, and if no query has a relevant item.

    >>> label_map(np.array([[3, 2, 1]]), np.array([[True]]), np.array([[True], [False], [True]]))
    {'map@n_query': 100.0, 'map@all': 83.33333333333333}
    """
    found = label_precision(similarity, query_labels, item_labels, n_query=n_query)
    if np.isnan(found["map@all"]).all():
        raise ValueError("No query shares a label with any item.")
    return {name: 100 * float(np.nanmean(value)) for name, value in found.items()}


def label_precision(
    similarity: Rows | ArrayLike,
    query_labels: ArrayLike,
    item_labels: ArrayLike,
    *,
    n_query: int | None = None,
) -> dict[str, np.ndarray]:
    """Compute the average precision of every query; an item is relevant to a query if they share a label.

    AP of a query is the mean, over the relevant items in a window, of the precision at their ranks. The
    window of `map@n_query`, which CRCGS and others report, is the first n_query ranks, where n_query is the
    number of queries; a query without relevant items in the window has AP 0. The window of `map@all` is the
    whole ranking. Equal scores rank in the order of the items.

    Args:
        similarity: (n_query, n_item), higher is better, integers or floats; read in blocks of rows.
        query_labels: (n_query, C) bool.
        item_labels: (n_item, C) bool.
        n_query: length of the window of `map@n_query`. Default: the number of queries; where an image has
            several captions as queries, the literature counts the images.

    Returns:
        Name of the window -> (n_query,) float64 in [0, 1]; NaN for queries without relevant items.

    Raises:
        ValueError: inconsistent shapes, or NaN in the similarity.

    Example: one query ranks three items: relevant, not relevant, relevant. Within the first rank the
    precision is 1; over all ranks it is 1/1 at the first and 2/3 at the second relevant item, on average
    5/6.
    """
    similarity = as_rows(similarity)
    query_labels, item_labels = as_array(query_labels), as_array(item_labels)
    queries, n_item = similarity.shape
    if query_labels.ndim != 2 or item_labels.ndim != 2:
        raise ValueError(
            f"Labels must be matrices (queries, labels) and (items, labels), got shapes {query_labels.shape} "
            f"and {item_labels.shape}."
        )
    if len(query_labels) != queries or len(item_labels) != n_item:
        raise ValueError(
            f"Labels of {len(query_labels)} queries and {len(item_labels)} items, a similarity of "
            f"{queries} by {n_item}."
        )
    windows = {"map@n_query": min(n_query or queries, n_item), "map@all": n_item}
    found = {name: np.full(queries, np.nan) for name in windows}
    transposed = item_labels.T.astype(np.float32)
    for rows, block in blocks(similarity):
        relevant = query_labels[rows].astype(np.float32) @ transposed > 0
        ranked = np.take_along_axis(relevant, np.argsort(-block, axis=1, kind="stable"), axis=1)
        some = ranked.any(axis=1)
        ranked = ranked[some]
        hits = ranked.cumsum(axis=1)
        precision = np.where(ranked, hits / np.arange(1, n_item + 1), 0).cumsum(axis=1)
        for name, window in windows.items():
            found[name][rows][some] = precision[:, window - 1] / np.maximum(hits[:, window - 1], 1)
    return found
