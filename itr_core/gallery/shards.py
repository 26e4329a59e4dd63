"""Shards of a gallery: any process that sees the folder writes them, and the manifest joins them.

The arrays of a shard are files of the gallery. A shard is complete when its report exists, which has the
records of its images and the stamps of its files.
"""

import json
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from itr_core.gallery.content import Content, items_of, skipped_of
from itr_core.gallery.image_workers import PreparedImage, UnusableImage
from itr_core.gallery.manifest import IMAGES, SHARDS, TEXTS, TOKENS, ShardSize, Stamp, stamps
from itr_core.gallery.unit_encoder import UNIT, UnitEncoder
from itr_core.system.files import whole_file

_FILES = {"images": IMAGES, "texts": TEXTS, "tokens": TOKENS}


class Shards:
    """The shards of one build.

    Args:
        part: the folder of the build; reports are in its folder shards, the gallery in its folder gallery.
        n: number of images of the source.
        size: images per shard, a multiple of the unit in which images are encoded.
    """

    def __init__(self, part: Path, n: int, size: int) -> None:
        self.gallery = part / "gallery"
        self.reports = part / "shards"
        self.n = n
        self.size = size

    def __len__(self) -> int:
        return ceil(self.n / self.size)

    def rows(self, shard: int) -> range:
        """Return the rows of a shard in the source."""
        return range(shard * self.size, min((shard + 1) * self.size, self.n))

    def missing(self) -> list[int]:
        """Return the shards that are not complete: they have no report, or a file is not as it says."""
        return [shard for shard in range(len(self)) if not self._is_complete(shard)]

    def begin(self, shard: int) -> int:
        """Return how often a shard of this build has been begun, this time included."""
        with self._report(shard).with_suffix(".begun").open("ab") as file:
            file.write(b".")
            return file.tell()

    def write(
        self, shard: int, encoder: UnitEncoder, images: Iterator[PreparedImage | UnusableImage]
    ) -> None:
        """Encode and write a shard, each of its files atomically.

        Args:
            shard: its number.
            encoder: of its images and captions.
            images: the images of its rows, in order.
        """
        rows = self.rows(shard)
        units = [
            encoder.encode(range(start, min(start + UNIT, rows.stop)), images)
            for start in range(rows.start, rows.stop, UNIT)
        ]
        records = [record for unit in units for record in unit.records]
        names = []
        for key in units[0].arrays:
            arrays = [unit.arrays[key] for unit in units]
            filled = [array for array in arrays if len(array)] or arrays[:1]  # tokens of none have no shape
            names.append(f"{SHARDS}/{shard:05}/{_FILES[key]}")
            file = self.gallery / names[-1]
            file.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(file) as part, part.open("wb") as out:
                np.save(out, np.concatenate(filled), allow_pickle=False)
        files = stamps(self.gallery, names)
        for unit in units:  # not read again: a worker that was given up may be writing the same thumbnail
            files |= unit.thumbnails
        with whole_file(self._report(shard)) as part:
            part.write_text(json.dumps({"records": records, "files": files}))

    def join(self) -> Content:
        """Read the reports of all shards; their arrays are not read."""
        tables, skipped, sizes = [], [], []
        files: dict[str, Stamp] = {}
        for shard in range(len(self)):
            report = json.loads(self._report(shard).read_text())
            items = items_of(report["records"])
            tables.append(items)
            skipped += skipped_of(report["records"])
            files |= _stamps_of(report)
            sizes.append(ShardSize(len(items), sum(map(len, items["captions"].to_pylist()))))
        return Content(pa.concat_tables(tables).combine_chunks(), skipped, files, sizes)

    def _report(self, shard: int) -> Path:
        return self.reports / f"{shard:05}.json"

    def _is_complete(self, shard: int) -> bool:
        try:
            files = _stamps_of(json.loads(self._report(shard).read_text()))
            return files == stamps(self.gallery, files)
        except (OSError, ValueError, KeyError, TypeError):
            return False


def _stamps_of(report: dict[str, Any]) -> dict[str, Stamp]:
    return {name: Stamp(*stamp) for name, stamp in report["files"].items()}
