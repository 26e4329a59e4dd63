"""Image files as one string each: a path, the URI of a path that is not UTF-8, or a part of an archive."""

import os
import re
import stat
import zlib
from io import BufferedReader, BytesIO
from pathlib import Path
from urllib.parse import unquote_to_bytes

from itr_core.errors import ImageError

_URI = "file://"
_PART = re.compile(r"part:(\d+)\+(\d+)(?:~(\d+))?:(.+)", re.DOTALL)


def reference_of(path: Path) -> str:
    """Return the path as text that tables can store, from which `open_reference` opens it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return path.absolute().as_uri()
    return str(path)


def part_of_archive(archive: Path, offset: int, size: int, inflated: int | None = None) -> str:
    """Return the reference to one file of an archive.

    Args:
        archive: absolute path of the archive.
        offset: where the content begins, in bytes.
        size: number of bytes in the archive.
        inflated: number of bytes of the file, if the archive has it as a raw deflate stream.
    """
    return f"part:{offset}+{size}{'' if inflated is None else f'~{inflated}'}:{archive}"


def open_reference(reference: str) -> BytesIO | BufferedReader:
    """Open a file for reading.

    Raises:
        ImageError: it is missing, empty, damaged or no regular file.
    """
    if part := _PART.fullmatch(reference):
        offset, size, inflated, archive = part.groups()
        return BytesIO(
            _read_part(archive, int(offset), int(size), None if inflated is None else int(inflated))
        )
    path = _path(reference)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # to open a pipe or a device can wait forever
            raise ImageError("cannot be read (not a regular file)")
        if status.st_size:
            return Path(path).open("rb")
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise ImageError(f"cannot be read ({getattr(error, 'strerror', error)})") from error
    raise ImageError("empty file (0 bytes)")


def stamp_of(reference: str) -> tuple[int, int] | None:
    """Return size and time of the last change (ns) of a file, or of its archive; None if there is no file."""
    part = _PART.fullmatch(reference)
    try:
        status = os.stat(part[4] if part else _path(reference))
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _path(reference: str) -> str:
    return os.fsdecode(unquote_to_bytes(reference[len(_URI) :])) if reference.startswith(_URI) else reference


def _read_part(archive: str, offset: int, size: int, inflated: int | None) -> bytes:
    with open_reference(archive) as file:
        file.seek(offset)
        content = file.read(size)
    if inflated is not None:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, inflated)
        except zlib.error as error:
            raise ImageError("damaged in its archive") from error
    if len(content) != (size if inflated is None else inflated):
        raise ImageError("damaged in its archive")
    if not content:
        raise ImageError("empty file (0 bytes)")
    return content
