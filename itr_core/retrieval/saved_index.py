"""Indexes of galleries: files in the cache of this machine, or collections in Milvus.

An index is no part of a gallery: faiss does not guard against a manipulated file, and a gallery of others
must not choose a server, so only what this machine has recorded is used. A record is found by the digests of
the embeddings, so that an index of other embeddings is never used.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path

import faiss
import numpy as np

from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.retrieval.approximate import FEWEST, ApproximateIndex, Settings, build_approximate
from itr_core.retrieval.filters import Of
from itr_core.retrieval.index import ExactIndex, Index
from itr_core.retrieval.index_records import (
    PARTS,
    FileRecord,
    MilvusRecord,
    collection_name,
    delete_index,
    earlier_indexes,
    new_index_file,
    read_record,
    record_path,
    replace_record,
    usable_records,
    write_record,
)
from itr_core.retrieval.milvus import MilvusIndex, MilvusSettings, build_in_milvus
from itr_core.retrieval.milvus_connection import MilvusConnection
from itr_core.system.files import cache_dir, sha256, whole_file
from itr_core.vocabulary import word_counts

FAISS, MILVUS = "faiss", "milvus:"
_QUERIES = 400
"""Sample queries by which the settings are chosen."""

Report = Callable[[int, int], None]


def open_index(gallery: Gallery, of: Of, rows: np.ndarray | None = None, *, exact: bool = False) -> Index:
    """Open the index of a gallery that `save_indexes` made, if there is one, else an exact index.

    Args:
        gallery: the gallery.
        of: what is searched.
        rows: the embeddings that are indexed; None for all.
        exact: use no other index.
    """
    vectors, path = _vectors(gallery, of), record_path(gallery, of)
    record = None if exact else usable_records(gallery).get(of)
    if isinstance(record, MilvusRecord) and record.settings:
        milvus = MilvusConnection(record.uri)
        return MilvusIndex(vectors, rows, milvus, collection_name(path), record.settings)
    if isinstance(record, FileRecord) and (lists := _read(path.with_name(record.file), record.sha256)):
        index = ApproximateIndex(vectors, rows, lists, record.settings)
        if (lists.ntotal, lists.d) == (len(index), vectors.shape[1]):
            return index
    return ExactIndex(vectors, rows)


def engine_of(gallery: Gallery) -> str | None:
    """Return the engine of the index of this gallery, or of its earlier embeddings; None without an index."""
    own = (read_record(record_path(gallery, of)) for of in PARTS)
    for record in filter(None, [*own, *earlier_indexes(gallery).values()]):
        return MILVUS + record.uri if isinstance(record, MilvusRecord) else FAISS
    return None


def save_indexes(
    gallery: Gallery, progress: Report = lambda done, total: None, *, engine: str = FAISS
) -> dict[Of, Settings | MilvusSettings]:
    """Index the images and captions of a gallery, and save the indexes.

    The settings are chosen with queries of the other modality. Without captions there are none: the images
    are the queries, and a search scans four times the lists that these need.

    Args:
        gallery: the gallery.
        progress: called with the number of vectors done and in total.
        engine: 'faiss', for at least `FEWEST` images or captions, or 'milvus:URI'; see `MilvusConnection`. An
            insertion into Milvus that was stopped goes on where it was.

    Returns:
        The settings of each index.

    Raises:
        GalleryError: see `milvus_of`, `build_approximate` and `build_in_milvus`.
        WriteError: The cache cannot be written.
    """
    milvus = milvus_of(engine)
    cache_dir("indexes", lasting=True)
    texts = distinct_captions(gallery.column("captions"))
    captions = np.fromiter(texts.values(), dtype=np.int64)
    parts: dict[Of, np.ndarray] = {"images": np.arange(len(gallery)), "captions": captions}
    parts = {of: rows for of, rows in parts.items() if len(rows) >= (1 if milvus else FEWEST)}
    total, done, made = sum(map(len, parts.values())), 0, dict[Of, Settings | MilvusSettings]()

    def report(count: int, _: int) -> None:
        progress(done + count, total)

    for of, rows in parts.items():
        indexed = None if of == "images" else rows
        made[of] = (
            _save_in_milvus(gallery, of, indexed, list(texts), milvus, report)
            if milvus
            else _save_in_file(gallery, of, indexed, report)
        )
        done += len(rows)
    for path in earlier_indexes(gallery):
        delete_index(path)
    return made


def milvus_of(engine: str) -> MilvusConnection | None:
    """Return the Milvus of an engine, without connecting to it; None for faiss.

    Raises:
        GalleryError: There is no such engine, or no folder for its file.
    """
    if engine == FAISS:
        return None
    if not engine.startswith(MILVUS):
        raise GalleryError(f"There is no index engine {engine!r}. Choose {FAISS} or {MILVUS}URI.")
    milvus = MilvusConnection(engine.removeprefix(MILVUS))
    if milvus.file and not milvus.file.parent.is_dir():
        raise GalleryError(
            f"{engine}: there is no folder {milvus.file.parent}. Create it, or name another file."
        )
    return milvus


def distinct_captions(captions: Iterable[Sequence[str]]) -> dict[str, int]:
    """Map each caption of all images to its first row: equal ones, such as "a dog" of many, count once."""
    first: dict[str, int] = {}
    for row, caption in enumerate(chain.from_iterable(captions)):
        first.setdefault(caption, row)
    return first


def _save_in_file(gallery: Gallery, of: Of, rows: np.ndarray | None, report: Report) -> Settings:
    index = build_approximate(_vectors(gallery, of), rows, _queries(gallery, of), report)
    settings, path = index.settings, record_path(gallery, of)
    if not gallery.manifest.captions:
        settings = settings._replace(probes=min(4 * settings.probes, index.lists.nlist))
    file, folder = new_index_file(path), str(gallery.path.resolve())
    with whole_file(file) as part:
        faiss.write_index(index.lists, str(part))
        digest = sha256(part)
    replace_record(path, FileRecord(gallery=folder, file=file.name, sha256=digest, settings=settings))
    return settings


def _save_in_milvus(
    gallery: Gallery,
    of: Of,
    rows: np.ndarray | None,
    texts: Sequence[str],
    milvus: MilvusConnection,
    report: Report,
) -> MilvusSettings:
    path = record_path(gallery, of)
    record = MilvusRecord(gallery=str(gallery.path.resolve()), uri=milvus.uri)
    earlier = read_record(path)
    if not isinstance(earlier, MilvusRecord) or earlier.uri != milvus.uri:
        earlier = record

    def inserted(count: int, total: int) -> None:
        replace_record(path, record.model_copy(update={"inserted": count}))
        report(count, total)

    index = build_in_milvus(
        _vectors(gallery, of),
        rows,
        gallery.column("labels") if of == "images" else None,
        word_counts(texts) if of == "captions" else None,
        _queries(gallery, of),
        milvus,
        collection_name(path),
        inserted=earlier.inserted,
        progress=inserted,
    )
    write_record(path, record.model_copy(update={"inserted": len(index), "settings": index.settings}))
    return index.settings


def _vectors(gallery: Gallery, of: Of) -> np.ndarray:
    return gallery.image_embeddings if of == "images" else gallery.text_embeddings


def _queries(gallery: Gallery, of: Of) -> np.ndarray:
    others = _vectors(gallery, "captions" if of == "images" and gallery.manifest.captions else "images")
    rows = np.random.default_rng(1).choice(len(others), min(_QUERIES, len(others)), replace=False)
    return np.ascontiguousarray(others[np.sort(rows)], dtype=np.float32)


def _read(path: Path, digest: str) -> faiss.IndexIVFPQFastScan | None:
    """Read an index file; None if there is none, or if it is damaged."""
    try:
        if sha256(path) != digest:
            return None
    except OSError:
        return None
    lists = faiss.read_index(str(path))
    assert isinstance(lists, faiss.IndexIVFPQFastScan)
    return lists
