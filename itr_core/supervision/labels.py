"""Labels of images: those of the source, or pseudo-labels."""

from collections.abc import Callable, Sequence

import numpy as np

from itr_core.errors import SourceError, did_you_mean
from itr_core.pairs import PairSet
from itr_core.supervision.concept_graph import concept_graph
from itr_core.system.imports import import_lock
from itr_core.vocabulary import CONCEPTS, content_words

CLUSTERS = 64
"""Number of clusters of the pseudo-labels `clusters`."""
KINDS = ("auto", "source", "concepts", "clusters")

Embed = Callable[[], tuple[np.ndarray, np.ndarray]]
"""Returns unit vectors of images and mean captions, (n, d) each, zero where there is none."""


def label_matrix(pairs: PairSet, kind: str, embed: Embed, *, seed: int) -> tuple[list[str], np.ndarray]:
    """Return the names of C labels and which image has which label, (n, C) bool.

    Args:
        pairs: n images.
        kind: 'source': the labels of the source. 'concepts': the most frequent content words of all captions;
            an image has those that any of its captions names. 'clusters': k-means of the mean captions, one
            label per captioned image. 'auto': the first of these that the source offers.
        embed: embeds the source; called for 'clusters' only.
        seed: random seed of the clusters.

    Raises:
        SourceError: an unknown kind, or one that the source does not offer.
    """
    if kind == "auto":
        kind = best_kind(pairs)
    if kind == "source":
        return source_labels(pairs)
    if kind == "concepts":
        return _concepts(pairs)
    if kind == "clusters":
        return _clusters(pairs, embed()[1], seed)
    raise SourceError(f"labels={kind!r}: unknown kind.{did_you_mean(kind, KINDS)}")


def best_kind(pairs: PairSet) -> str:
    """Return the kind that 'auto' selects."""
    if any(pairs.labels or ()):
        return "source"
    return "concepts" if content_words(pairs.captions, 1) else "clusters"


def source_labels(pairs: PairSet, names: Sequence[str] = ()) -> tuple[list[str], np.ndarray]:
    """Return the labels of the source as `label_matrix` does; raise SourceError if it has none.

    Args:
        pairs: the source.
        names: names of the columns, among them all labels of the source. By default those of the source.
    """
    names = [*names] or sorted({name for own in pairs.labels or () for name in own})
    if not any(pairs.labels or ()):
        raise SourceError(
            f"{pairs.source} has no labels. Add a column of labels (`labels`, or --columns labels=NAME; for "
            "COCO, instances_*.json beside the captions), or use pseudo-labels: --labels concepts "
            f"({CONCEPTS} words of the captions) or --labels clusters."
        )
    column = {name: index for index, name in enumerate(names)}
    matrix = np.zeros((len(pairs), len(names)), np.bool_)
    for row, own in enumerate(pairs.labels or ()):
        matrix[row, [column[name] for name in own]] = True
    return names, matrix


def _concepts(pairs: PairSet) -> tuple[list[str], np.ndarray]:
    graph = concept_graph(pairs)
    texts, image_of_caption = pairs.flat_captions()
    matrix = np.zeros((len(pairs), len(graph.names)), np.bool_)
    np.logical_or.at(matrix, image_of_caption, graph.named_in(texts))
    return [*graph.names], matrix


def _clusters(pairs: PairSet, texts: np.ndarray, seed: int) -> tuple[list[str], np.ndarray]:
    with import_lock:
        from sklearn.cluster import MiniBatchKMeans  # seconds to import

    captioned = np.flatnonzero(texts.any(axis=1))
    if not len(captioned):
        raise SourceError(f"{pairs.source}: no image has a caption, so there is nothing to cluster.")
    count = min(CLUSTERS, len(captioned))
    means = MiniBatchKMeans(count, n_init=3, random_state=seed)
    matrix = np.zeros((len(pairs), count), np.bool_)
    matrix[captioned, means.fit_predict(texts[captioned])] = True
    return [f"cluster {index}" for index in range(count)], matrix
