"""Evaluation protocols: functions that compute the metrics of an embedded source."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from itr_core.errors import SourceError
from itr_core.evaluation.human_judgments import coco_positives, spearman
from itr_core.evaluation.relevance_matrix import CHUNK, PackedRelevance
from itr_core.metrics import CosineSimilarity, ranks
from itr_core.metrics.precision import label_precision
from itr_core.metrics.recall import fold_ranks
from itr_core.metrics.relevance import first_answers, ndcg
from itr_core.metrics.samples import MetricSamples, QuerySet, recalls
from itr_core.metrics.sampling import shuffled_rows
from itr_core.metrics.similarity import LazySimilarity, Rows
from itr_core.pairs import PairSet
from itr_core.supervision.labels import label_matrix

COCO_1K, FOLDS = 5000, 5
"""Number of images and folds of the COCO 1K protocol."""
MAX_COMPARED = 5000
"""Maximum number of captions that `uni_modal` compares with other captions."""


@dataclass(frozen=True)
class Embedded:
    """A source embedded by a model: `images` (n, d) and `texts` (m, d), unit norm, sorted by image."""

    pairs: PairSet
    images: np.ndarray
    texts: np.ndarray

    @cached_property
    def image_of_caption(self) -> np.ndarray:
        """The row of each caption's image, (m,)."""
        return self.pairs.flat_captions()[1]

    @cached_property
    def truth(self) -> PackedRelevance | None:
        """The relevance beyond the given pairs, if the source has it."""
        if self.pairs.relevance is None:
            return None
        return PackedRelevance(self.pairs.relevance, len(self.images), len(self.texts))

    def queries(self, protocol: str, direction: str) -> QuerySet:
        """Return all captions (T2I, T2T) or all images (I2T, I2I) as queries."""
        n = len(self.images)
        return QuerySet(
            protocol, direction, self.image_of_caption if direction.startswith("t") else np.arange(n), n
        )

    @cached_property
    def t2i(self) -> CosineSimilarity:
        """Similarity of captions (rows) and images."""
        return CosineSimilarity(self.texts, self.images)

    @cached_property
    def i2t(self) -> CosineSimilarity:
        """Similarity of images (rows) and captions."""
        return CosineSimilarity(self.images, self.texts)


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
        ("t2i", source.t2i, truth.by_caption, _equal(image_of_caption, rows)),
        ("i2t", source.i2t, truth.by_image, _equal(rows, image_of_caption)),
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


def uni_modal(source: Embedded) -> list[MetricSamples]:
    """Retrieval within a modality without the query itself, and correlation of text similarity with meaning.

    T2T: the other captions of the image of the query are relevant. I2I: images of which a caption of the
    query is true are relevant; if only pairs are known, images that share a label of the source; without
    labels, I2I is skipped. If relevance is known, also the rank correlation (Spearman) between the cosine
    of two captions and the overlap (intersection over union) of the sets of images of which they are true.
    At most 5,000 captions, sampled with a fixed seed, are each compared with another caption of the same
    image and with a caption of another image.
    """
    samples: list[MetricSamples] = []
    same = _equal(source.image_of_caption, source.image_of_caption)
    relevant_images = _relevant_images(source)
    for direction, embeddings, relevant in (
        ("t2t", source.texts, same),
        ("i2i", source.images, relevant_images),
    ):
        if relevant is not None:
            similarity = _without_self(CosineSimilarity(embeddings, embeddings), -np.inf)
            queries, others = source.queries("uni-modal", direction), _without_self(relevant, False)
            samples += queries.recalls(similarity, others) + queries.precisions(similarity, others)
    return samples if source.truth is None else [*samples, _shared_meaning(source, source.truth)]


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
}


def _judged(name: str, source: Embedded) -> Iterator[tuple[QuerySet, CosineSimilarity, LazySimilarity]]:
    """Yield for both directions: judged queries, their similarity to all items, and relevant items."""
    for direction, (rows, relevant) in coco_positives(name, source.pairs).items():
        every, similarity = source.queries(name, direction), source.t2i if direction == "t2i" else source.i2t
        judged = replace(every, image=every.image[rows])
        yield judged, CosineSimilarity(similarity.images[rows], similarity.captions), relevant


def _equal(queries: np.ndarray, items: np.ndarray) -> LazySimilarity:
    return LazySimilarity((len(queries), len(items)), lambda rows: queries[rows, None] == items[None])


def _without_self(square: Rows, value: float) -> LazySimilarity:
    """Return a square matrix with `value` on its diagonal."""

    def read(rows: slice) -> np.ndarray:
        block = np.array(square[rows])
        here = np.arange(len(block))
        block[here, rows.start + here] = value
        return block

    return LazySimilarity((square.shape[0], square.shape[1]), read)


def _relevant_images(source: Embedded) -> LazySimilarity | None:
    """Return which images are relevant to which, (n, n) bool, or None if unknown."""
    n, truth, image_of_caption = len(source.images), source.truth, source.image_of_caption
    if truth is not None:

        def by_captions(rows: slice) -> np.ndarray:
            first, stop = np.searchsorted(image_of_caption, (rows.start, min(rows.stop, n)))
            relevant = np.zeros((min(rows.stop, n) - rows.start, n), bool)
            np.logical_or.at(
                relevant, image_of_caption[first:stop] - rows.start, truth.by_caption[first:stop]
            )
            return relevant

        return LazySimilarity((n, n), by_captions)
    if any(source.pairs.labels or ()):
        has_label = _labels(source, "source").astype(np.float32)
        return LazySimilarity((n, n), lambda rows: has_label[rows] @ has_label.T > 0)
    return None


def _labels(source: Embedded, kind: str) -> np.ndarray:
    """Return which image has which label, (n, C) bool."""
    return label_matrix(source.pairs, kind, lambda: (source.images, source.images), seed=0)[1]


def _shared_meaning(source: Embedded, truth: PackedRelevance) -> MetricSamples:
    m, image_of_caption = len(source.texts), source.image_of_caption
    random = np.random.default_rng(0)
    captions = np.sort(shuffled_rows(random, m, MAX_COMPARED))
    first = np.searchsorted(image_of_caption, image_of_caption[captions])
    count = np.searchsorted(image_of_caption, image_of_caption[captions], side="right") - first
    sibling = (
        first + (captions - first + 1 + (random.random(len(captions)) * (count - 1)).astype(int)) % count
    )
    other = random.integers(m, size=len(captions))
    keep = np.concatenate([count > 1, image_of_caption[other] != image_of_caption[captions]])
    a, b = np.tile(captions, 2)[keep], np.concatenate([sibling, other])[keep]
    overlap = np.concatenate(list(_overlaps(truth, a, b)))
    cosine = np.einsum("ij,ij->i", source.texts[a], source.texts[b])
    return spearman("uni-modal", "t2t", cosine, overlap, image_of_caption[a], len(source.images))


def _overlaps(truth: PackedRelevance, a: np.ndarray, b: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(a), CHUNK):
        of_a, of_b = truth.columns(a[start : start + CHUNK]), truth.columns(b[start : start + CHUNK])
        yield (of_a & of_b).sum(axis=0) / np.maximum(1, (of_a | of_b).sum(axis=0))
