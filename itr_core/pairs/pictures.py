"""The pictures in a column of a table, without decoding or copying them."""

import hashlib
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from datasets import Dataset


class Pictures:
    """The image column of a dataset, stored as structs {"bytes", "path"}.

    Args:
        dataset: a dataset with the column `image` of the feature `Image(decode=False)`.
    """

    def __init__(self, dataset: "Dataset", image: str) -> None:
        import pyarrow.compute as pc

        self._bytes: list[Any] = []
        self.paths: list[str | None] = []
        lengths = []
        for chunk in dataset.data.column(image).chunks:
            fields = dict(zip((field.name for field in chunk.type), chunk.flatten(), strict=True))
            self._bytes.append(fields["bytes"])
            self.paths += fields["path"].to_pylist()
            lengths.append(pc.fill_null(pc.binary_length(fields["bytes"]), 0).to_numpy(zero_copy_only=False))
        self.sizes = np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.int64)
        self._starts = np.cumsum([0, *map(len, self._bytes)])
        sizes, counts = np.unique(self.sizes, return_counts=True)
        self._shared = set(sizes[counts > 1].tolist())

    def problem(self, row: int) -> str | None:
        """Return why a row has no picture, or None if it has one."""
        if self.sizes[row]:
            return None
        if self.content(row) is not None:
            return "empty file (0 bytes)"
        return "no image in this row, only a file name" if self.paths[row] else "no image in this row"

    def content(self, row: int) -> Any:
        """Return the bytes of a picture as a buffer, or None."""
        chunk = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._bytes[chunk][row - int(self._starts[chunk])].as_buffer()

    def identity(self, row: int) -> Hashable:
        """Return what is equal for equal pictures; only pictures whose size is that of another are read."""
        size = int(self.sizes[row])
        if size not in self._shared:
            return size
        return hashlib.sha256(self.content(row)).digest()
