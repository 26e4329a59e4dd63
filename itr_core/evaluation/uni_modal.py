"""Retrieval within a modality: images find images, captions find captions."""

from collections.abc import Iterator, Sequence

import numpy as np

from itr_core.errors import SourceError
from itr_core.evaluation.embedded import Embedded
from itr_core.evaluation.human_judgments import spearman
from itr_core.evaluation.relevance_matrix import CHUNK, PackedRelevance
from itr_core.metrics import CosineSimilarity
from itr_core.metrics.samples import MetricSamples
from itr_core.metrics.sampling import shuffled_rows
from itr_core.metrics.similarity import LazySimilarity, Rows, equality

MAX_COMPARED = 5000
"""Maximum number of captions that are compared with other captions."""


def uni_modal(source: Embedded) -> list[MetricSamples]:
    """Retrieval within a modality without the query itself, and correlation of text similarity with meaning.

    T2T: the other captions of the image of the query are relevant; without captions, T2T is skipped. I2I:
    images of which a caption of the query is true are relevant; if only pairs are known, images that share a
    label of the source; without labels, I2I is skipped. With a database, its images that share a label with
    the query are relevant, and only I2I is measured. If relevance is known, also the rank correlation
    (Spearman) between the cosine of two captions and the overlap (intersection over union) of the sets of
    images of which they are true. At most 5,000 captions, sampled with a fixed seed, are each compared with
    another caption of the same image and with a caption of another image.

    Models with spaces of their own for this (CUSA's heads) are measured in these spaces.

    Raises:
        SourceError: nothing can be measured, or a database without labels.
    """
    if source.database is not None:
        return _in_database(source, source.database)
    samples: list[MetricSamples] = []
    same = equality(source.image_of_caption, source.image_of_caption) if len(source.texts) else None
    for direction, embeddings, relevant in (
        ("t2t", source.texts_among_texts, same),
        ("i2i", source.images_among_images, _relevant_images(source)),
    ):
        if relevant is not None:
            similarity = _without_self(CosineSimilarity(embeddings, embeddings), -np.inf)
            queries, others = source.queries("uni-modal", direction), _without_self(relevant, False)
            samples += queries.recalls(similarity, others) + queries.precisions(similarity, others)
    if not samples:
        raise SourceError(
            f"{source.pairs.source} has neither captions nor labels; retrieval within a modality needs one "
            "of them. Add a column of labels (`labels`, or --columns labels=NAME)."
        )
    return samples if source.truth is None else [*samples, _shared_meaning(source, source.truth)]


def _in_database(source: Embedded, database: Embedded) -> list[MetricSamples]:
    similarity = CosineSimilarity(source.images_among_images, database.images_among_images)
    relevant = _shared_label(_labels(source), _labels(database))
    queries = source.queries("uni-modal", "i2i")
    return queries.recalls(similarity, relevant) + queries.precisions(similarity, relevant)


def _labels(source: Embedded) -> Sequence[Sequence[str]]:
    labels = source.pairs.labels
    if labels is None or not any(labels):
        raise SourceError(
            f"{source.pairs.source} has no labels, which say which images of the database are right. Add a "
            "column of labels (`labels`, or --columns labels=NAME)."
        )
    return labels


def _shared_label(queries: Sequence[Sequence[str]], items: Sequence[Sequence[str]]) -> LazySimilarity:
    """Return which items share a label with which queries, (q, n) bool.

    The matrices of labels are sparse: Stanford Online Products has 60,502 images with 11,316 labels.
    """
    from scipy.sparse import csr_array  # a tenth of a second to import

    column = {label: index for index, label in enumerate({name for own in items for name in own})}

    def matrix(labels: Sequence[Sequence[str]]) -> csr_array:
        known = [[column[name] for name in set(own) if name in column] for own in labels]
        ends = np.cumsum([0, *map(len, known)])
        columns = np.array([index for own in known for index in own], np.int64)
        return csr_array((np.ones(len(columns), np.float32), columns, ends), (len(labels), len(column)))

    of_queries, of_items = matrix(queries), matrix(items).T.tocsr()
    return LazySimilarity(
        (len(queries), len(items)), lambda rows: (of_queries[rows] @ of_items).toarray() > 0
    )


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
    labels = source.pairs.labels
    return _shared_label(labels, labels) if labels is not None and any(labels) else None


def _shared_meaning(source: Embedded, truth: PackedRelevance) -> MetricSamples:
    texts, image_of_caption = source.texts_among_texts, source.image_of_caption
    m = len(texts)
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
    cosine = np.einsum("ij,ij->i", texts[a], texts[b])
    return spearman("uni-modal", "t2t", cosine, overlap, image_of_caption[a], len(source.images))


def _overlaps(truth: PackedRelevance, a: np.ndarray, b: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(a), CHUNK):
        of_a, of_b = truth.columns(a[start : start + CHUNK]), truth.columns(b[start : start + CHUNK])
        yield (of_a & of_b).sum(axis=0) / np.maximum(1, (of_a | of_b).sum(axis=0))
