"""What is measured of an embedded source: a function for every protocol."""

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
COMPARED = 5000
"""Most captions that are compared with others in `uni_modal`."""


@dataclass(frozen=True)
class Embedded:
    """A source as a model sees it: `images` (n, d) and `texts` (m, d), unit norm, captions image by image."""

    pairs: PairSet
    images: np.ndarray
    texts: np.ndarray

    @cached_property
    def image_of_caption(self) -> np.ndarray:
        """The row of each caption's image, (m,)."""
        return self.pairs.flat_captions()[1]

    @cached_property
    def truth(self) -> PackedRelevance | None:
        """What is true beyond the pairs, where the source knows."""
        if self.pairs.relevance is None:
            return None
        return PackedRelevance(self.pairs.relevance, len(self.images), len(self.texts))

    def asked(self, protocol: str, direction: str) -> QuerySet:
        """All captions (T2I, T2T) or all images (I2T, I2I) as queries."""
        n = len(self.images)
        return QuerySet(
            protocol, direction, self.image_of_caption if direction.startswith("t") else np.arange(n), n
        )

    @cached_property
    def t2i(self) -> CosineSimilarity:
        return CosineSimilarity(self.texts, self.images)

    @cached_property
    def i2t(self) -> CosineSimilarity:
        return CosineSimilarity(self.images, self.texts)


Protocol = Callable[[Embedded], list[MetricSamples]]


def standard(source: Embedded) -> list[MetricSamples]:
    """The given pairs are all that is right, and the whole source is ranked."""
    return recalls("standard", *ranks(source.i2t, source.image_of_caption), source.image_of_caption)


def coco_1k(source: Embedded) -> list[MetricSamples]:
    """As `standard`, in five folds of 1,000 consecutive images."""
    if len(source.images) != COCO_1K:
        raise SourceError(
            f"The coco-1k protocol takes five folds of 1,000 images; {source.pairs.source} has "
            f"{len(source.images):,} usable ones. The standard protocol takes any number."
        )
    return recalls(
        "coco-1k", *fold_ranks(source.i2t, source.image_of_caption, FOLDS), source.image_of_caption
    )


def exact(source: Embedded) -> list[MetricSamples]:
    """All that is true is right: R@K, mAP@R, R-Precision, nDCG@10, and what the given pairs hide.

    `false_negatives`: of the queries that R@1 of the given pairs calls missed, the share whose first answer is
    true. `unannotated_first_answers`: the share of such answers among the first answers to all queries.
    """
    truth, relevance = source.truth, source.pairs.relevance
    if truth is None or relevance is None:
        raise SourceError(
            f"{source.pairs.source} does not say what is true beyond its pairs, as the exact protocol asks. "
            "Picturebook does; for COCO's test split there are eccv and cxc."
        )
    rows, image_of_caption = np.arange(len(source.images)), source.image_of_caption
    chunks = [slice(start, start + CHUNK) for start in range(0, len(rows), CHUNK)]
    gain = {
        "t2i": ndcg((source.i2t[chunk].T, relevance.grade(chunk).T) for chunk in chunks),
        "i2t": np.concatenate([ndcg([(source.i2t[chunk], relevance.grade(chunk))]) for chunk in chunks]),
    }
    figures: list[MetricSamples] = []
    for direction, similarity, relevant, given in (
        ("t2i", source.t2i, truth.by_caption, _equal(image_of_caption, rows)),
        ("i2t", source.i2t, truth.by_image, _equal(rows, image_of_caption)),
    ):
        asked = source.asked("exact", direction)
        true, pair = first_answers(similarity, relevant, given)
        hidden = (true & ~pair).astype(float)
        if direction == "i2t":  # images without captions are no queries of R@1
            hidden[np.bincount(image_of_caption, minlength=len(rows)) == 0] = np.nan
        figures += asked.recalls(similarity, relevant) + asked.precisions(similarity, relevant)
        figures += [
            asked.mean("ndcg10", gain[direction]),
            asked.mean("false_negatives", np.where(pair, np.nan, hidden)),
            asked.mean("unannotated_first_answers", hidden),
        ]
    return figures


def uni_modal(source: Embedded) -> list[MetricSamples]:
    """Like finds like, the query itself left out, and how captions that mean the same lie.

    T2T: right are the other captions of the query's image. I2I: right are images of which a caption of the
    query's is true or, where only the pairs are known, those that share a label of the source's own; without
    labels it is left out. Where truth is known, also the rank correlation (Spearman) between the cosine of
    two captions and the share of images that both are true of among those that either is true of. Each of at
    most 5,000 captions, drawn by a fixed seed, is compared with another one of its image and one of another.
    """
    figures: list[MetricSamples] = []
    same = _equal(source.image_of_caption, source.image_of_caption)
    for direction, embeddings, right in (("t2t", source.texts, same), ("i2i", source.images, _alike(source))):
        if right is not None:
            similarity = _without_self(CosineSimilarity(embeddings, embeddings), -np.inf)
            asked, others = source.asked("uni-modal", direction), _without_self(right, False)
            figures += asked.recalls(similarity, others) + asked.precisions(similarity, others)
    return figures if source.truth is None else [*figures, _shared_meaning(source, source.truth)]


def labels(source: Embedded) -> list[MetricSamples]:
    """Label mAP in both windows of `label_precision`: right is what shares a label.

    Every caption has the labels of its image. They are the source's own or, where it has none, the concepts
    that its captions name.
    """
    has = _labels(source, "source" if any(source.pairs.labels or ()) else "concepts")
    windows = {
        "t2i": label_precision(source.t2i, has[source.image_of_caption], has),
        "i2t": label_precision(source.i2t, has, has[source.image_of_caption]),
    }
    return [
        source.asked("labels", direction).mean(window.replace("@", "_at_"), values)
        for direction, found in windows.items()
        for window, values in found.items()
    ]


def eccv(source: Embedded) -> list[MetricSamples]:
    """ECCV Caption: what else is right on COCO's test split, for the queries that its authors had judged."""
    return [
        figure
        for asked, similarity, right in _judged("eccv", source)
        for figure in asked.recalls(similarity, right) + asked.precisions(similarity, right)
    ]


def cxc(source: Embedded) -> list[MetricSamples]:
    """CxC: the same of Crisscrossed Captions, which reports recalls."""
    return [
        figure
        for asked, similarity, right in _judged("cxc", source)
        for figure in asked.recalls(similarity, right)
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
    """Both ways: what is asked, its similarity to all items, and what is right."""
    for direction, (queries, relevant) in coco_positives(name, source.pairs).items():
        every, all_rows = source.asked(name, direction), source.t2i if direction == "t2i" else source.i2t
        asked = replace(every, image=every.image[queries])
        yield asked, CosineSimilarity(all_rows.images[queries], all_rows.captions), relevant


def _equal(queries: np.ndarray, items: np.ndarray) -> LazySimilarity:
    return LazySimilarity((len(queries), len(items)), lambda rows: queries[rows, None] == items[None])


def _without_self(square: Rows, value: float) -> LazySimilarity:
    """A square matrix with `value` on its diagonal."""

    def read(rows: slice) -> np.ndarray:
        block = np.array(square[rows])
        here = np.arange(len(block))
        block[here, rows.start + here] = value
        return block

    return LazySimilarity((square.shape[0], square.shape[1]), read)


def _alike(source: Embedded) -> LazySimilarity | None:
    """Which images are right answers to which (n, n)."""
    n, truth, image_of_caption = len(source.images), source.truth, source.image_of_caption
    if truth is not None:

        def one_caption_is_true(rows: slice) -> np.ndarray:
            first, stop = np.searchsorted(image_of_caption, (rows.start, min(rows.stop, n)))
            right = np.zeros((min(rows.stop, n) - rows.start, n), bool)
            np.logical_or.at(right, image_of_caption[first:stop] - rows.start, truth.by_caption[first:stop])
            return right

        return LazySimilarity((n, n), one_caption_is_true)
    if any(source.pairs.labels or ()):
        weight = _labels(source, "source").astype(np.float32)
        return LazySimilarity((n, n), lambda rows: weight[rows] @ weight.T > 0)
    return None


def _labels(source: Embedded, kind: str) -> np.ndarray:
    """Which image has which label, (n, C) bool."""
    return label_matrix(source.pairs, kind, lambda: (source.images, source.images), seed=0)[1]


def _shared_meaning(source: Embedded, truth: PackedRelevance) -> MetricSamples:
    m, image_of_caption = len(source.texts), source.image_of_caption
    random = np.random.default_rng(0)
    captions = np.sort(shuffled_rows(random, m, COMPARED))
    first = np.searchsorted(image_of_caption, image_of_caption[captions])
    count = np.searchsorted(image_of_caption, image_of_caption[captions], side="right") - first
    sibling = (
        first + (captions - first + 1 + (random.random(len(captions)) * (count - 1)).astype(int)) % count
    )
    stranger = random.integers(m, size=len(captions))
    keep = np.concatenate([count > 1, image_of_caption[stranger] != image_of_caption[captions]])
    a, b = np.tile(captions, 2)[keep], np.concatenate([sibling, stranger])[keep]
    overlap = np.concatenate(list(_overlaps(truth, a, b)))
    cosine = np.einsum("ij,ij->i", source.texts[a], source.texts[b])
    return spearman("uni-modal", "t2t", cosine, overlap, image_of_caption[a], len(source.images))


def _overlaps(truth: PackedRelevance, a: np.ndarray, b: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(a), CHUNK):
        one, other = truth.columns(a[start : start + CHUNK]), truth.columns(b[start : start + CHUNK])
        yield (one & other).sum(axis=0) / np.maximum(1, (one | other).sum(axis=0))
