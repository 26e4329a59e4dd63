"""An index in Milvus, which keeps the embeddings in a collection and finds candidates in it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from itr_core.errors import GalleryError
from itr_core.retrieval.approximate import FEWEST, GOAL, LEAST, K, recall
from itr_core.retrieval.filters import Among
from itr_core.retrieval.index import CandidateIndex, exact_rows
from itr_core.retrieval.milvus_connection import MilvusConnection

_SEARCH_SECONDS, _BATCH_SECONDS, _INDEX_SECONDS = 5, 60, 86_400
_BATCH = 2_048
"""Rows that are inserted at a time; Milvus accepts 64 MB."""
_SPARE = 32
"""Candidates beyond k, because Milvus orders equal scores, and rounds sums, in its own way."""
_EF = (64, 128, 256, 512, 1_024, 2_048)
_LONGEST, _MOST = 65_535, 4_096
"""Limits of Milvus: bytes of a label, labels of an image."""


class MilvusSettings(NamedTuple):
    """How a collection is searched, and the recall@10 of sample queries that this reached.

    Attributes:
        ef: number of candidates that the search of a graph (HNSW) keeps; 0 if all vectors are compared.
        recall: 1 if all vectors are compared.
    """

    ef: int
    recall: float


@dataclass(frozen=True)
class MilvusIndex(CandidateIndex):
    """Search of a collection; several threads may use one index.

    Attributes:
        milvus: where the collection is.
        collection: its name.
        settings: of the search.
    """

    milvus: MilvusConnection
    collection: str
    settings: MilvusSettings

    @property
    def approximate(self) -> bool:
        """See `Index.approximate`."""
        return self.settings.ef > 0

    def candidates(self, queries: np.ndarray, k: int, among: Among | None) -> np.ndarray:
        """See `CandidateIndex.candidates`.

        Raises:
            GalleryError: Milvus does not answer, or does not have all rows.
        """
        limit = min(k + _SPARE, len(self) if among is None else len(among.rows))
        search = partial(
            self.milvus.call,
            "search",
            self.collection,
            data=list(queries),
            limit=limit,
            filter="" if among is None else _expression(among),
            output_fields=["row"],
            search_params={"params": {"ef": max(self.settings.ef, limit)} if self.settings.ef else {}},
            seconds=_SEARCH_SECONDS,
        )
        try:
            answer = search()
        except GalleryError:  # Milvus Lite does not remember which collections were loaded when it ended
            self.milvus.call("load_collection", self.collection, seconds=_BATCH_SECONDS)
            answer = search()
        rows = [[int(hit["row"]) for hit in hits] for hits in answer]
        count = min(map(len, rows))
        found = np.array([each[:count] for each in rows], dtype=np.int64)
        if count < k or not ((found >= 0) & (found < len(self))).all():
            raise GalleryError(
                f"The collection {self.collection} in Milvus at {self.milvus.uri} was changed. Make it again "
                f"(pairscope index GALLERY --index milvus:{self.milvus.uri}), or search without it (--exact)."
            )
        return found


def build_in_milvus(
    vectors: np.ndarray,
    rows: np.ndarray | None,
    labels: Sequence[Sequence[str] | None] | None,
    words: np.ndarray | None,
    queries: np.ndarray,
    milvus: MilvusConnection,
    collection: str,
    *,
    inserted: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> MilvusIndex:
    """Insert vectors into a collection, and choose how it is searched by the recall of sample queries.

    Below `FEWEST` vectors, Milvus compares all of them (FLAT), otherwise it searches a graph (HNSW). A
    collection that is complete is used as it is.

    Args:
        vectors: (N, d) float32 of unit norm.
        rows: the n vectors that are indexed; None for all.
        labels: of each of these, by which searches can be filtered; None without labels.
        words: number of words of each of these, (n,) int64, the same; None without words.
        queries: (q, d) float32 of unit norm, see `build_approximate`.
        milvus: where the collection is to be.
        collection: a name that no other vectors have.
        inserted: number of vectors that an earlier, stopped call has reported.
        progress: called with the number of vectors inserted and in total, after each batch.

    Raises:
        GalleryError: Milvus does not answer, lost vectors, or reaches no recall of `LEAST`.
    """
    index = MilvusIndex(vectors, rows, milvus, collection, MilvusSettings(0, 1.0))
    if not _is_complete(index):
        _insert(index, labels, words, inserted, progress)
    progress(len(index), len(index))
    if len(index) < FEWEST:
        return index
    return MilvusIndex(vectors, rows, milvus, collection, _settings(index, queries))


def drop(milvus: MilvusConnection, collection: str) -> None:
    """Delete a collection, if it is there; raise GalleryError if Milvus does not answer."""
    milvus.call("drop_collection", collection, seconds=_BATCH_SECONDS)


def _is_complete(index: MilvusIndex) -> bool:
    """Whether the collection has been indexed, which is done when it has all rows."""
    call, name = index.milvus.call, index.collection
    if not call("has_collection", name, seconds=_BATCH_SECONDS):
        return False
    if not call("list_indexes", name, seconds=_BATCH_SECONDS):
        return False
    call("load_collection", name, seconds=_INDEX_SECONDS)
    if _count(index) == len(index):
        return True
    drop(index.milvus, name)
    return False


def _count(index: MilvusIndex) -> int:
    counted = index.milvus.call(
        "query",
        index.collection,
        filter="",
        output_fields=["count(*)"],
        consistency_level="Strong",
        seconds=_BATCH_SECONDS,
    )
    return int(counted[0]["count(*)"])


def _insert(
    index: MilvusIndex,
    labels: Sequence[Sequence[str] | None] | None,
    words: np.ndarray | None,
    inserted: int,
    progress: Callable[[int, int], None],
) -> None:
    call, name, n = index.milvus.call, index.collection, len(index)
    if not call("has_collection", name, seconds=_BATCH_SECONDS):
        inserted = 0
        schema = _schema(index.vectors.shape[1], labels=labels is not None, words=words is not None)
        call("create_collection", name, schema=schema, seconds=_BATCH_SECONDS)
    for start in range(inserted, n, _BATCH):
        batch = slice(start, min(start + _BATCH, n))
        vectors = index.vectors[batch if index.rows is None else index.rows[batch]]
        entries: list[dict[str, Any]] = [
            {"row": row, "embedding": np.asarray(vector, dtype=np.float32)}
            for row, vector in enumerate(vectors, start)
        ]
        if labels is not None:
            for entry, own in zip(entries, labels[batch], strict=True):
                entry["labels"] = [str(label) for label in own or ()]
        if words is not None:
            for entry, count in zip(entries, words[batch].tolist(), strict=True):
                entry["words"] = count
        # An insertion that was stopped may have stored some rows of its batch.
        call("upsert", name, entries, seconds=_BATCH_SECONDS)
        progress(batch.stop, n)
    call("flush", name, seconds=_INDEX_SECONDS)
    call("create_index", name, _index_params(n), seconds=_INDEX_SECONDS)
    call("load_collection", name, seconds=_INDEX_SECONDS)
    if (count := _count(index)) != n:
        drop(index.milvus, name)
        raise GalleryError(f"Milvus at {index.milvus.uri} has {count:,} of {n:,} rows. Repeat the command.")


def _schema(dim: int, *, labels: bool, words: bool) -> Any:
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("row", DataType.INT64, is_primary=True)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dim)
    if words:
        schema.add_field("words", DataType.INT64)
    if labels:
        schema.add_field(
            "labels",
            DataType.ARRAY,
            element_type=DataType.VARCHAR,
            max_length=_LONGEST,
            max_capacity=_MOST,
        )
    return schema


def _index_params(n: int) -> Any:
    from pymilvus import MilvusClient

    params = MilvusClient.prepare_index_params()
    if n < FEWEST:
        params.add_index("embedding", index_type="FLAT", metric_type="IP")
    else:
        graph = {"M": 32, "efConstruction": 200}
        params.add_index("embedding", index_type="HNSW", metric_type="IP", params=graph)
    return params


def _settings(flat: MilvusIndex, queries: np.ndarray) -> MilvusSettings:
    """Return the smallest `ef` that reaches `GOAL`, or the largest if it reaches `LEAST`."""
    exact = exact_rows(flat.vectors, flat.rows, queries, K)
    for ef in _EF:
        index = MilvusIndex(flat.vectors, flat.rows, flat.milvus, flat.collection, MilvusSettings(ef, 0))
        settings = MilvusSettings(ef, recall(index, queries, exact))
        if settings.recall >= GOAL:
            return settings
    if settings.recall < LEAST:
        drop(flat.milvus, flat.collection)
        raise GalleryError(
            f"The graph of these {len(flat)} vectors finds only {settings.recall:.1%} of the ten best "
            f"results; {LEAST:.0%} are required. Searches stay exact."
        )
    return settings


def _expression(among: Among) -> str:
    """Return a limit in the language of Milvus's filters, whose strings are those of JSON."""
    if among.words is not None:
        fewest, most = among.words
        return f"words >= {fewest} and words <= {most}"
    return f"array_contains_all(labels, {json.dumps(list(among.labels), ensure_ascii=False)})"
