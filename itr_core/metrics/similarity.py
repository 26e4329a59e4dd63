"""Similarity matrices that are read a block of rows at a time, so that no N x N matrix is kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import ArrayLike

from itr_core.metrics.arrays import as_array

BLOCK_ROWS = 256
"""Number of rows per block."""


class Rows(Protocol):
    """A matrix that is read in blocks of rows: an array, a tensor, or a class of this module."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of rows and columns."""

    def __getitem__(self, rows: slice, /) -> ArrayLike:
        """Rows of the matrix as an array or a tensor."""


def as_rows(matrix: Rows | ArrayLike, name: str = "The similarity") -> Rows:
    """Return a matrix that can be read in blocks: lists become arrays, everything else stays what it is.

    Raises:
        ValueError: not two-dimensional.
    """
    rows = cast(Rows, matrix) if hasattr(matrix, "shape") else as_array(matrix)
    if len(rows.shape) != 2:
        raise ValueError(f"{name} must be a matrix, got shape {tuple(rows.shape)}.")
    return rows


@dataclass(frozen=True)
class CosineSimilarity:
    """Cosines of unit vectors (n_images, d) and (n_captions, d), computed for the requested rows only."""

    images: np.ndarray
    captions: np.ndarray

    def __post_init__(self) -> None:
        for name in ("images", "captions"):
            object.__setattr__(self, name, as_rows(getattr(self, name), name))  # the class is frozen

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_images, n_captions)."""
        return len(self.images), len(self.captions)

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        return self.images[rows] @ self.captions.T


@dataclass(frozen=True)
class LazySimilarity:
    """An (n, m) matrix whose rows are computed by `read`, a function of a slice of rows."""

    shape: tuple[int, int]
    read: Callable[[slice], np.ndarray]

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        return self.read(rows)


def equality(queries: np.ndarray, items: np.ndarray) -> LazySimilarity:
    """Return which of the items (n,) equal which of the queries (q,), bool (q, n)."""
    return LazySimilarity((len(queries), len(items)), lambda rows: queries[rows, None] == items[None])


RelevanceRows = np.ndarray | LazySimilarity
"""Which items are relevant to which queries, bool, read in the same blocks of rows as the similarity."""


def as_relevance(relevant: RelevanceRows | ArrayLike) -> RelevanceRows:
    """Return a relevance matrix (n_query, n_item) that can be read in blocks, bool.

    Raises:
        ValueError: not two-dimensional.
    """
    if isinstance(relevant, LazySimilarity):
        return relevant
    return cast(np.ndarray, as_rows(as_array(relevant), "The relevance")).astype(bool, copy=False)


def blocks(similarity: Rows) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield a similarity matrix in blocks of at most 256 rows.

    Raises:
        ValueError: NaN in the matrix.
    """
    for start in range(0, similarity.shape[0], BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        block = as_array(similarity[rows])
        if block.dtype == bool:
            block = block.astype(np.float32)
        if np.isnan(block).any():
            raise ValueError(f"The similarity matrix has NaN in rows {start} to {start + len(block) - 1}.")
        yield rows, block


@dataclass(frozen=True)
class HammingSimilarity:
    """Negative Hamming distances of packed codes (q, bytes) and (n, bytes), for the requested rows only."""

    queries: np.ndarray
    items: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """(q, n)."""
        return len(self.queries), len(self.items)

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        distance = np.zeros((len(self.queries[rows]), len(self.items)), np.int16)
        for query, item in zip(self.queries[rows].T, self.items.T, strict=True):
            distance += np.bitwise_count(query[:, None] ^ item[None, :])
        return -distance
