"""What this machine knows of the indexes of galleries: a JSON file for each, in the cache."""

import logging
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.gallery.manifest import IMAGES, ITEMS, TEXTS
from itr_core.retrieval.approximate import Settings
from itr_core.retrieval.filters import Of
from itr_core.retrieval.milvus import MilvusSettings, drop
from itr_core.retrieval.milvus_connection import MilvusConnection
from itr_core.system.files import cache_dir, whole_file

log = logging.getLogger(__name__)

PARTS: tuple[Of, ...] = get_args(Of)
_FORMAT = 3


class _Record(BaseModel):
    """What all indexes have.

    Attributes:
        gallery: the folder, by which indexes of its earlier embeddings are found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gallery: str


class FileRecord(_Record):
    """An index in a file beside the record.

    Attributes:
        file: its name, which no other index has, so that a record never describes the file of another one.
        sha256: hex digest of the file.
        settings: of the search.
    """

    file: str
    sha256: str
    settings: Settings


class MilvusRecord(_Record):
    """An index in Milvus.

    Attributes:
        uri: of Milvus.
        inserted: number of vectors that it has.
        settings: of the search; None until the index is complete.
    """

    uri: str
    inserted: int = 0
    settings: MilvusSettings | None = None


_ANY = TypeAdapter[FileRecord | MilvusRecord](FileRecord | MilvusRecord)


def record_path(gallery: Gallery, of: Of) -> Path:
    """Return the path of the record of an index, which is named by the content of what it indexes."""
    about = gallery.manifest
    names = [*about.files_of(IMAGES if of == "images" else TEXTS), ITEMS]
    content = [f"{name} {about.files[name].sha256}" for name in names]
    digest = sha256("\n".join([f"{of} {_FORMAT}", *content]).encode()).hexdigest()
    return cache_dir("indexes") / f"{digest[:32]}.json"


def new_index_file(record: Path) -> Path:
    """Return a path for an index that a `FileRecord` at the path `record` will describe."""
    return record.with_name(f"{record.stem}.{token_hex(4)}.faiss")


def collection_name(record: Path) -> str:
    """Return the name of the collection that a `MilvusRecord` describes."""
    return f"pairscope_{record.stem}"


def read_record(path: Path) -> FileRecord | MilvusRecord | None:
    """Return a record; None if there is none, or if it is damaged."""
    try:
        return _ANY.validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def write_record(path: Path, record: FileRecord | MilvusRecord) -> None:
    """Replace a record."""
    with whole_file(path) as part:
        part.write_text(record.model_dump_json(), encoding="utf-8")


def replace_record(path: Path, record: FileRecord | MilvusRecord) -> None:
    """Replace a record, and then delete the index of the one before, if it is another."""
    earlier = read_record(path)
    try:
        write_record(path, record)
    finally:
        delete_unnamed_files(path)  # of the record before, or of this one if it could not be written
    if isinstance(earlier, MilvusRecord) and earlier.uri != getattr(record, "uri", None):
        drop_collection(path, earlier)


def usable_records(gallery: Gallery) -> dict[Of, FileRecord | MilvusRecord]:
    """Return the records of the complete indexes of a gallery."""
    records = {of: read_record(record_path(gallery, of)) for of in PARTS}
    return {
        of: record
        for of, record in records.items()
        if record and not (isinstance(record, MilvusRecord) and not record.settings)
    }


def delete_index(path: Path) -> None:
    """Delete a record and its index. A collection stays if Milvus does not answer, which is logged."""
    record = read_record(path)
    if isinstance(record, MilvusRecord):
        drop_collection(path, record)
    path.unlink(missing_ok=True)
    delete_unnamed_files(path)


def drop_collection(path: Path, record: MilvusRecord) -> None:
    """Delete the collection of a record. It stays if Milvus does not answer, which is logged."""
    try:
        drop(MilvusConnection(record.uri), collection_name(path))
    except GalleryError as error:
        log.warning("The collection %s, which is no longer used, stays. %s", collection_name(path), error)


def delete_unnamed_files(path: Path) -> None:
    """Delete the files that belong to the record at `path`, except the one that it names now."""
    record = read_record(path)
    named = record.file if isinstance(record, FileRecord) else None
    for file in path.parent.glob(f"{path.stem}.*faiss"):
        if file.name != named:
            file.unlink(missing_ok=True)


def earlier_indexes(gallery: Gallery) -> dict[Path, FileRecord | MilvusRecord]:
    """Return the records, by their paths, of indexes of embeddings that a gallery had before."""
    current = {record_path(gallery, of) for of in PARTS}
    records = {path: read_record(path) for path in cache_dir("indexes").glob("*.json") if path not in current}
    folder = str(gallery.path.resolve())
    return {path: record for path, record in records.items() if record and record.gallery == folder}
