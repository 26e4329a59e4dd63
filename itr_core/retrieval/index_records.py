"""What this machine knows of the indexes of galleries: a JSON file for each, in the cache."""

import logging
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.gallery.manifest import IMAGES, ITEMS, TEXTS
from itr_core.retrieval.approximate import Settings
from itr_core.retrieval.milvus import MilvusSettings, drop
from itr_core.retrieval.milvus_connection import MilvusConnection
from itr_core.system.files import cache_dir, whole_file

log = logging.getLogger(__name__)

Of = Literal["images", "captions"]
PARTS: tuple[Of, ...] = ("images", "captions")
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
        sha256: hex digest of the file.
        settings: of the search.
    """

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


def index_file(record: Path) -> Path:
    """Return the path of the index that a `FileRecord` describes."""
    return record.with_suffix(".faiss")


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


def delete_index(path: Path) -> None:
    """Delete a record and its index. A collection stays if Milvus does not answer, which is logged."""
    record = read_record(path)
    if isinstance(record, MilvusRecord):
        try:
            drop(MilvusConnection(record.uri), collection_name(path))
        except GalleryError as error:
            log.warning("The collection %s, which is no longer used, stays. %s", collection_name(path), error)
    path.unlink(missing_ok=True)
    index_file(path).unlink(missing_ok=True)


def delete_earlier_indexes(gallery: Gallery) -> None:
    """Delete the indexes of embeddings that a gallery had before."""
    current = {record_path(gallery, of) for of in PARTS}
    for path in cache_dir("indexes").glob("*.json"):
        record = read_record(path)
        if record and record.gallery == str(gallery.path.resolve()) and path not in current:
            delete_index(path)
