"""The table of the source files of a gallery, by which an update sees which of them have changed.

It is no part of the gallery: without it, an update encodes everything.
"""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from itr_core.pairs import PairSet
from itr_core.pairs.source_files import SourceFile
from itr_core.system.files import whole_file

FILE = "sources.parquet"

_SCHEMA = pa.schema(
    {"image_id": pa.string(), "digest": pa.string(), "size": pa.int64(), "changed_ns": pa.int64()}
)


def write_source_files(pairs: PairSet, folder: Path) -> None:
    """Write what the files of a source were when they were read (`PairSet.files`)."""
    stamps = [file.stamp or (None, None) for file in pairs.files]
    columns = [
        pairs.image_ids,
        [file.digest for file in pairs.files],
        [size for size, _ in stamps],
        [changed for _, changed in stamps],
    ]
    with whole_file(folder / FILE) as part:
        pq.write_table(pa.table(columns, schema=_SCHEMA), part)


def read_source_files(folder: Path) -> Mapping[str, SourceFile]:
    """Return image id -> what its file was; empty if the gallery has no such table or it is damaged."""
    try:
        rows = pq.read_table(folder / FILE, schema=_SCHEMA).to_pylist()
    except (OSError, ValueError):
        return {}
    return {
        row["image_id"]: SourceFile(
            row["digest"], None if row["size"] is None else (row["size"], row["changed_ns"])
        )
        for row in rows
    }
