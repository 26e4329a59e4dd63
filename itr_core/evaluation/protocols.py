"""Evaluation protocols: functions that compute the metrics of an embedded source."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from itr_core.errors import SourceError
from itr_core.evaluation.embedded import Embedded
from itr_core.evaluation.hierarchical import hierarchical
from itr_core.evaluation.human_judgments import coco_positives
from itr_core.evaluation.relevance_matrix import CHUNK
from itr_core.evaluation.uni_modal import uni_modal
from itr_core.metrics import CosineSimilarity, ranks
from itr_core.metrics.precision import label_precision
from itr_core.metrics.recall import fold_ranks
from itr_core.metrics.relevance import first_answers, ndcg
from itr_core.metrics.samples import MetricSamples, QuerySet, recalls
from itr_core.metrics.similarity import LazySimilarity, equality
from itr_core.supervision.labels import label_matrix

COCO_1K, FOLDS = 5000, 5
"""Number of images and folds of the COCO 1K protocol."""


Protocol = Callable[[Embedded], list[MetricSamples]]


def standard(source: Embedded) -> list[MetricSamples]:
    """Only the given pairs are relevant; each query ranks the whole source."""
    return recalls("standard", *ranks(source.i2t, source.image_of_caption), source.image_of_caption)


def coco_1k(source: Embedded) -> list[MetricSamples]:
    """Compute `standard` in five folds of 1,000 consecutive images."""
    if len(source.images) != COCO_1K:
        raise SourceError(
            f"The coco-1k protocol needs five folds of 1,000 images; {source.pairs.source} has "
            f"{len(source.images):,} usable ones. The standard protocol works with any number."
        )
    return recalls(
        "coco-1k", *fold_ranks(source.i2t, source.image_of_caption, FOLDS), source.image_of_caption
    )


def exact(source: Embedded) -> list[MetricSamples]:
    """All true items are relevant: R@K, mAP@R, R-Precision, nDCG@10 and the share of false negatives.

    `false_negatives`: the percentage of misses at rank 1 (by the given pairs) whose first answer is true.
    `unannotated_first_answers`: the percentage of all queries whose first answer is true but not annotated.
    """
    truth, relevance = source.truth, source.pairs.relevance
    if truth is None or relevance is None:
        raise SourceError(
            f"{source.pairs.source} has no relevance beyond its pairs, which the exact protocol needs. "
            "Picturebook has; for the COCO test split there are the protocols eccv and cxc."
        )
    rows, image_of_caption = np.arange(len(source.images)), source.image_of_caption
    chunks = [slice(start, start + CHUNK) for start in range(0, len(rows), CHUNK)]
    gain = {
        "t2i": ndcg((source.i2t[chunk].T, relevance.grade(chunk).T) for chunk in chunks),
        "i2t": np.concatenate([ndcg([(source.i2t[chunk], relevance.grade(chunk))]) for chunk in chunks]),
    }
    samples: list[MetricSamples] = []
    for direction, similarity, relevant, given in (
        ("t2i", source.t2i, truth.by_caption, equality(image_of_caption, rows)),
        ("i2t", source.i2t, truth.by_image, equality(rows, image_of_caption)),
    ):
        queries = source.queries("exact", direction)
        true, pair = first_answers(similarity, relevant, given)
        unannotated = (true & ~pair).astype(float)
        if direction == "i2t":  # images without captions are not queries of R@1
            unannotated[np.bincount(image_of_caption, minlength=len(rows)) == 0] = np.nan
        samples += queries.recalls(similarity, relevant) + queries.precisions(similarity, relevant)
        samples += [
            queries.mean("ndcg10", gain[direction]),
            queries.mean("false_negatives", np.where(pair, np.nan, unannotated)),
            queries.mean("unannotated_first_answers", unannotated),
        ]
    return samples


def labels(source: Embedded) -> list[MetricSamples]:
    """Label mAP in both windows of `label_precision`: items that share a label are relevant.

    A caption has the labels of its image: those of the source or, if it has none, the concepts that the
    captions of the image name.
    """
    has = _labels(source, "source" if any(source.pairs.labels or ()) else "concepts")
    windows = {
        "t2i": label_precision(source.t2i, has[source.image_of_caption], has),
        "i2t": label_precision(source.i2t, has, has[source.image_of_caption]),
    }
    return [
        source.queries("labels", direction).mean(window.replace("@", "_at_"), values)
        for direction, found in windows.items()
        for window, values in found.items()
    ]


def eccv(source: Embedded) -> list[MetricSamples]:
    """ECCV Caption: additional positives on the COCO test split, for the queries that were judged."""
    return [
        metric
        for queries, similarity, relevant in _judged("eccv", source)
        for metric in queries.recalls(similarity, relevant) + queries.precisions(similarity, relevant)
    ]


def cxc(source: Embedded) -> list[MetricSamples]:
    """CxC: additional positives of Crisscrossed Captions, which reports recalls."""
    return [
        metric
        for queries, similarity, relevant in _judged("cxc", source)
        for metric in queries.recalls(similarity, relevant)
    ]


PROTOCOLS: dict[str, Protocol] = {
    "standard": standard,
    "coco-1k": coco_1k,
    "exact": exact,
    "uni-modal": uni_modal,
    "labels": labels,
    "eccv": eccv,
    "cxc": cxc,
    "hierarchical": hierarchical,
}
WITH_TOKENS = frozenset({"hierarchical"})
"""Protocols that need patch and word tokens."""
WITHOUT_CAPTIONS = frozenset({"uni-modal"})
"""Protocols that can measure sources without captions."""


def _judged(name: str, source: Embedded) -> Iterator[tuple[QuerySet, CosineSimilarity, LazySimilarity]]:
    """Yield for both directions: judged queries, their similarity to all items, and relevant items."""
    for direction, (rows, relevant) in coco_positives(name, source.pairs).items():
        every, similarity = source.queries(name, direction), source.t2i if direction == "t2i" else source.i2t
        judged = replace(every, image=every.image[rows])
        yield judged, CosineSimilarity(similarity.images[rows], similarity.captions), relevant


def _labels(source: Embedded, kind: str) -> np.ndarray:
    """Return which image has which label, (n, C) bool."""
    return label_matrix(source.pairs, kind, lambda: (source.images, source.images), seed=0)[1]
