"""Pictures inside of parquet files on the hub, read when they are used.

A picture is named by its file's content and its row. The row group that it is in is read by range requests,
once, into a cache on disk that the processes of a machine share and whose size is bounded.
"""

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from itr_core.errors import ImageError, PairscopeError, SourceError, reason_of
from itr_core.system.files import cache_dir, whole_file

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

CACHE = 4_000_000_000
"""Bytes of row groups that are kept on disk; beyond, those that were opened longest ago are deleted."""
TOGETHER = 1_000_000_000
"""Bytes of row groups whose rows are shuffled together, well below `CACHE`."""
_HUB = "hf://"
_REQUEST = 16_000_000  # bytes that are read at a time, so that large row groups do not fill the memory


class ParquetPart(NamedTuple):
    """One parquet file of a source.

    Attributes:
        file: Path, or address with a commit.
        stamp: What identifies its content, from `stamp_of`.
        column: The column of images.
        starts: First row of each row group, and the number of rows.
        size: Bytes of the column.
    """

    file: str
    stamp: str
    column: str
    starts: tuple[int, ...]
    size: int


class Blocks(NamedTuple):
    """Rows that are read together.

    Attributes:
        of_row: Block of each row, (n,) int64.
        together: Number of blocks whose rows can be shuffled without reading a block twice.
    """

    of_row: np.ndarray
    together: int


class RowGroups:
    """The pictures of parquet files.

    Args:
        parts: the files.
    """

    def __init__(self, parts: Sequence[ParquetPart]) -> None:
        self._stamps = [part.stamp for part in parts]  # equal ones are files of equal content
        self._parts = {part.stamp: part for part in parts}

    def names(self) -> list[str]:
        """Return the names of the pictures of all rows."""
        return [f"{stamp}/{row}" for stamp in self._stamps for row in range(self._parts[stamp].starts[-1])]

    def fetch(self, name: str) -> Mapping[str, Any]:
        """Return the picture {"bytes", "path"} of a name.

        Raises:
            ImageError: there is no picture in this row.
            SourceError: the file cannot be read, or has changed.
            WriteError: the cache cannot be written.
        """
        part, group, row = self._place(name)
        value = _row_group(part.file, part.stamp, part.column, group)[row].as_py()
        picture = value if isinstance(value, Mapping) else {"bytes": value, "path": None}
        if picture.get("bytes") is None:  # the path is not opened: it would name a file of this machine
            named = picture.get("path")
            raise ImageError("no image in this row, only a file name" if named else "no image in this row")
        if not picture["bytes"]:
            raise ImageError("empty file (0 bytes)")
        return picture

    def blocks(self, names: Sequence[str]) -> Blocks:
        """Return the row groups of pictures as blocks."""
        first = {}
        number = 0
        for stamp, part in self._parts.items():
            first[stamp] = number
            number += len(part.starts) - 1
        places = (self._place(name) for name in names)
        of_row = np.fromiter((first[part.stamp] + group for part, group, _ in places), np.int64, len(names))
        size = sum(part.size for part in self._parts.values()) / number
        return Blocks(of_row, max(1, int(TOGETHER / max(1, size))))

    def _place(self, name: str) -> tuple[ParquetPart, int, int]:
        stamp, _, text = name.rpartition("/")
        part, row = self._parts[stamp], int(text)
        group = bisect_right(part.starts, row) - 1
        return part, group, row - part.starts[group]


def open_parquet(file: str, *, at_a_time: int = 0) -> "ParquetFile":
    """Open a file; only its footer is read.

    Args:
        file: path or address.
        at_a_time: bytes of a column that are read at a time; by default all, together with adjacent columns.
    """
    from huggingface_hub import HfFileSystem
    from pyarrow.parquet import ParquetFile

    # The cache that is usual reads more than was asked for.
    content = HfFileSystem().open(file, cache_type="none") if file.startswith(_HUB) else file
    return ParquetFile(content, buffer_size=at_a_time, pre_buffer=not at_a_time)


def stamp_of(file: str) -> str:
    """Return what identifies the content of a file without reading it: on the hub, the hash that it names."""
    from huggingface_hub import HfFileSystem

    if not file.startswith(_HUB):
        status = os.stat(file)
        return sha256(f"{file} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:32]
    info = HfFileSystem().info(file)
    return str(info["lfs"]["sha256"] if info.get("lfs") else info["blob_id"])[:32]


@lru_cache(maxsize=8)
def _row_group(file: str, stamp: str, column: str, group: int) -> "pa.ChunkedArray":
    """Return a column of a row group, mapped from the cache; if it is not there, it is read from the file."""
    from filelock import FileLock  # not needed by sources that are not streamed

    key = sha256(f"{stamp} {column} {group}".encode()).hexdigest()[:32]
    folder = cache_dir("row_groups")
    path = folder / f"{key}.arrow"
    # All row groups share a few locks: a lock file of each could not be deleted safely.
    with FileLock(folder / f"{key[0]}.lock"):
        with suppress(FileNotFoundError):
            return _mapped(path)
        with whole_file(path) as part:
            _copy(file, stamp, column, group, part)
        _delete_oldest(folder, path)
        return _mapped(path)


def _mapped(path: Path) -> "pa.ChunkedArray":
    import pyarrow as pa

    os.utime(path)
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all().column(0)


def _copy(file: str, stamp: str, column: str, group: int, path: Path) -> None:
    """Write a column of a row group to `path`, a few pictures at a time."""
    import pyarrow as pa

    batches = _read(file, stamp, column, group)
    first = next(batches)
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, first.schema) as writer:
        for batch in chain([first], batches):
            writer.write_batch(batch)


def _read(file: str, stamp: str, column: str, group: int) -> Iterator["pa.RecordBatch"]:
    with reading(file):
        if stamp_of(file) != stamp:
            raise SourceError(f"{file} has changed since it was opened. Repeat the command.")
        with open_parquet(file, at_a_time=_REQUEST) as parquet:
            yield from parquet.iter_batches(64, [group], [column], use_threads=False)


@contextmanager
def reading(file: str) -> Iterator[None]:
    """Explain why the block cannot read a file; huggingface_hub has repeated requests before that.

    Raises:
        SourceError: the block raised any error.
    """
    try:
        yield
    except PairscopeError:
        raise
    except Exception as error:  # of pyarrow, fsspec, huggingface_hub and httpx
        reason = reason_of(error)
        if type(error).__name__ == "ArrowInvalid":
            raise SourceError(
                f"{file} is no complete parquet file ({reason}). Read another revision of the data set "
                "(hub:ORG/NAME@REVISION), or tell its authors."
            ) from error
        raise SourceError(
            f"{file} cannot be read ({type(error).__name__}: {reason}). Check the network and your access to "
            "the data set, and repeat the command: a build goes on where it stopped, and so does a training "
            "with --resume."
        ) from error


def _delete_oldest(folder: Path, newest: Path) -> None:
    """Delete row groups that were opened longest ago, until the others fit into the cache."""
    with suppress(OSError):  # another process deletes, too; Windows keeps files that are mapped
        opened = sorted((path.stat().st_mtime_ns, path) for path in folder.glob("*.arrow") if path != newest)
        size = newest.stat().st_size + sum(path.stat().st_size for _, path in opened)
        for _, path in opened:
            if size <= CACHE:
                return
            size -= path.stat().st_size
            path.unlink()
