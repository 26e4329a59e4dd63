"""Approximate indexes of galleries, kept in the cache of this machine.

An index is no part of a gallery: faiss does not guard against a manipulated file, so only a file that was
written on this machine is read. It is found by the digests of the embeddings, so that an index of other
embeddings is never used.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256 as sha256_of_bytes
from itertools import chain
from pathlib import Path
from typing import Literal

import faiss
import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from itr_core.gallery import Gallery
from itr_core.gallery.manifest import IMAGES, ITEMS, TEXTS
from itr_core.retrieval.approximate import FEWEST, ApproximateIndex, Settings, build_approximate
from itr_core.retrieval.index import ExactIndex, Index
from itr_core.system.files import cache_dir, sha256, whole_file

Of = Literal["images", "captions"]
_FORMAT = 1
_QUERIES = 400
"""Sample queries by which the settings are chosen."""


class _Record(BaseModel):
    """What is known of an index file.

    Attributes:
        gallery: the folder, by which indexes of its earlier embeddings are found.
        sha256: hex digest of the file.
        settings: of the search.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gallery: str
    sha256: str
    settings: Settings


def open_index(gallery: Gallery, of: Of, rows: np.ndarray | None = None, *, exact: bool = False) -> Index:
    """Open the approximate index of a gallery, if `save_indexes` made one, else an exact index.

    Args:
        gallery: the gallery.
        of: what is searched.
        rows: the embeddings that are indexed; None for all.
        exact: use no approximate index.
    """
    vectors = _vectors(gallery, of)
    if not exact and (saved := _read(_path(gallery, of))):
        lists, settings = saved
        if lists.ntotal == (len(vectors) if rows is None else len(rows)) and lists.d == vectors.shape[1]:
            return ApproximateIndex(vectors, rows, lists, settings)
    return ExactIndex(vectors, rows)


def is_indexed(gallery: Gallery) -> bool:
    """Whether this machine has an approximate index of the images or captions of a gallery."""
    return any(_path(gallery, of).with_suffix(".json").is_file() for of in ("images", "captions"))


def save_indexes(
    gallery: Gallery, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Settings]:
    """Index the images and captions of a gallery, if there are at least `FEWEST`, and save the indexes.

    The settings are chosen with queries of the other modality. Without captions there are none: the images
    are the queries, and a search scans four times the lists that these need.

    Args:
        gallery: the gallery.
        progress: called with the number of vectors done and in total.

    Returns:
        The settings of each index.

    Raises:
        GalleryError: see `build_approximate`.
    """
    captions = np.fromiter(distinct_captions(gallery.column("captions")).values(), dtype=np.int64)
    parts: dict[Of, np.ndarray] = {"images": np.arange(len(gallery)), "captions": captions}
    parts = {of: rows for of, rows in parts.items() if len(rows) >= FEWEST}
    total, done, made = sum(map(len, parts.values())), 0, dict[str, Settings]()

    def report(count: int, _: int) -> None:
        progress(done + count, total)

    for of, rows in parts.items():
        indexed = None if of == "images" else rows
        index = build_approximate(_vectors(gallery, of), indexed, _queries(gallery, of), report)
        done += len(rows)
        settings = index.settings
        if not gallery.manifest.captions:
            settings = settings._replace(probes=min(4 * settings.probes, index.lists.nlist))
        _write(_path(gallery, of), index.lists, settings, str(gallery.path.resolve()))
        made[of] = settings
    _forget(gallery)
    return made


def distinct_captions(captions: Iterable[Sequence[str]]) -> dict[str, int]:
    """Map each caption of all images to its first row: equal ones, such as "a dog" of many, count once."""
    first: dict[str, int] = {}
    for row, caption in enumerate(chain.from_iterable(captions)):
        first.setdefault(caption, row)
    return first


def _vectors(gallery: Gallery, of: Of) -> np.ndarray:
    return gallery.image_embeddings if of == "images" else gallery.text_embeddings


def _queries(gallery: Gallery, of: Of) -> np.ndarray:
    others = _vectors(gallery, "captions" if of == "images" and gallery.manifest.captions else "images")
    rows = np.random.default_rng(1).choice(len(others), min(_QUERIES, len(others)), replace=False)
    return np.ascontiguousarray(others[np.sort(rows)], dtype=np.float32)


def _path(gallery: Gallery, of: Of) -> Path:
    """Return the file of an index, which is named by the content of what it indexes."""
    about = gallery.manifest
    names = about.files_of(IMAGES) if of == "images" else [*about.files_of(TEXTS), ITEMS]
    content = [f"{name} {about.files[name].sha256}" for name in names]
    digest = sha256_of_bytes("\n".join([f"{of} {_FORMAT}", *content]).encode()).hexdigest()
    return cache_dir("indexes") / f"{digest[:32]}.faiss"


def _write(path: Path, lists: faiss.IndexIVFPQFastScan, settings: Settings, gallery: str) -> None:
    with whole_file(path) as part:
        faiss.write_index(lists, str(part))
        digest = sha256(part)
    with whole_file(path.with_suffix(".json")) as part:
        record = _Record(gallery=gallery, sha256=digest, settings=settings)
        part.write_text(record.model_dump_json(), encoding="utf-8")


def _read(path: Path) -> tuple[faiss.IndexIVFPQFastScan, Settings] | None:
    """Read an index; None if there is none, or if a file is damaged."""
    try:
        record = _Record.model_validate_json(path.with_suffix(".json").read_text(encoding="utf-8"))
        if sha256(path) != record.sha256:
            return None
    except (OSError, ValidationError):
        return None
    lists = faiss.read_index(str(path))
    assert isinstance(lists, faiss.IndexIVFPQFastScan)
    return lists, record.settings


def _forget(gallery: Gallery) -> None:
    """Delete the indexes of embeddings that the gallery had before."""
    current = {_path(gallery, of).with_suffix(".json").name for of in ("images", "captions")}
    for path in cache_dir("indexes").glob("*.json"):
        try:
            record = _Record.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            continue
        if record.gallery == str(gallery.path.resolve()) and path.name not in current:
            path.unlink(missing_ok=True)
            path.with_suffix(".faiss").unlink(missing_ok=True)
