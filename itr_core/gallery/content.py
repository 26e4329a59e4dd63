"""What a build has written into the folder of a gallery, before the manifest lists it."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import pyarrow as pa

from itr_core.gallery.manifest import ShardSize, Stamp
from itr_core.pairs import Skipped

_SCHEMA = pa.schema(
    {
        "image_id": pa.string(),
        "captions": pa.list_(pa.string()),
        "thumbnail": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "labels": pa.list_(pa.string()),
    }
)


class Content(NamedTuple):
    """Arrays and thumbnails in a gallery's folder.

    Attributes:
        items: One row per usable image.
        skipped: The images that cannot be used.
        files: Stamps of the arrays, by name; those of thumbnails may be missing.
        shards: Sizes of the shards; empty if each array is one file.
    """

    items: pa.Table
    skipped: list[Skipped]
    files: dict[str, Stamp]
    shards: list[ShardSize]


def items_of(records: Iterable[dict[str, Any]]) -> pa.Table:
    """Return the items among the records of `UnitEncoder.encode`."""
    return pa.Table.from_pylist([each for each in records if "image_id" in each], schema=_SCHEMA)


def skipped_of(records: Iterable[dict[str, Any]]) -> list[Skipped]:
    """Return the images among the records of `UnitEncoder.encode` that cannot be used."""
    return [Skipped(**each) for each in records if "reason" in each]
