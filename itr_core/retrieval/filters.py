"""What a search is limited to: images with some labels."""

from collections.abc import Collection, Iterable
from functools import cached_property, reduce
from typing import NamedTuple

import numpy as np

from itr_core.errors import QueryError, did_you_mean


class Among(NamedTuple):
    """What a search is limited to."""

    rows: np.ndarray
    """int64, ascending."""
    labels: tuple[str, ...] = ()
    """What exactly these rows have in common, for engines that filter by it."""


class Filters:
    """The filters of a gallery.

    Args:
        labels: the labels of each image, None where it has none.
    """

    def __init__(self, labels: Iterable[list[str] | None]) -> None:
        self._labels = labels

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """Labels of the gallery, most frequent first, and the rows of the images that have each, int64."""
        rows: dict[str, list[int]] = {}
        for row, labels in enumerate(self._labels):
            for label in labels if labels is not None else ():
                rows.setdefault(str(label), []).append(row)
        ordered = sorted(rows.items(), key=lambda each: (-len(each[1]), each[0]))
        return {label: np.unique(np.array(each, dtype=np.int64)) for label, each in ordered}

    def having(self, labels: Collection[str], of: str = "images") -> Among | None:
        """Return the images that have all of these labels; None without labels.

        Raises:
            QueryError: No image of the gallery has one of the labels, or captions are searched.
        """
        if labels and of != "images":
            raise QueryError("Only images can be filtered by label (of='images').")
        for label in labels:
            if label not in self.labels:
                raise QueryError(
                    f"No image of this gallery has the label {label!r}.{did_you_mean(label, self.labels)}"
                )
        if not labels:
            return None
        return Among(reduce(np.intersect1d, (self.labels[each] for each in labels)), tuple(labels))
