"""What the image files of a source contained when they were read, and how to see that one has changed."""

import hashlib
import json
import time
from collections.abc import Mapping
from typing import NamedTuple

from itr_core.pairs.decoding import open_file
from itr_core.pairs.references import stamp_of

_SETTLED_NS = 2_000_000_000
"""A file that was changed less than this time ago can change again without another time of change."""


class SourceFile(NamedTuple):
    """An image of a source as it was read.

    Attributes:
        digest: Hex SHA-256 digest of the file, or of the value that a rendered image is made from.
        stamp: Size in bytes and time of the last change in nanoseconds, of the file or of the archive that it
            is in; None if it is in neither, or was changed just before it was read.
    """

    digest: str
    stamp: tuple[int, int] | None


def source_file(value: object, known: SourceFile | None = None) -> SourceFile:
    """Return the digest of an image.

    Args:
        value: Of the image column.
        known: What the same image was before. If size and time of its file are the same, it is not read.

    Raises:
        ImageError: The file cannot be read.
    """
    if not isinstance(value, Mapping):  # Picturebook: the value identifies the scene
        return SourceFile(hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest(), None)
    path = value.get("path") if value.get("bytes") is None else None
    stamp = stamp_of(path) if path else None  # before the file is read: a change in between is seen later
    if stamp and stamp[1] > time.time_ns() - _SETTLED_NS:
        stamp = None
    if known and stamp and known.stamp == stamp:
        return known
    with open_file(value) as file:
        return SourceFile(hashlib.file_digest(file, "sha256").hexdigest(), stamp)
