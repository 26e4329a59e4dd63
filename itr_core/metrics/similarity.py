"""Similarity matrices that are read a block of rows at a time, so that no N x N matrix is kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

BLOCK_ROWS = 256


class Rows(Protocol):
    """A matrix read a few rows at a time: an array, a tensor, a `CosineSimilarity` or a `LazySimilarity`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice, /) -> "np.ndarray | torch.Tensor": ...


@dataclass(frozen=True)
class CosineSimilarity:
    """Cosines of unit vectors (n_images, d) and (n_captions, d); only the rows asked for ever exist."""

    images: np.ndarray
    captions: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.images), len(self.captions)

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        return self.images[rows] @ self.captions.T


@dataclass(frozen=True)
class LazySimilarity:
    """An (n, m) matrix that `read` makes a few rows at a time, from a slice of its rows."""

    shape: tuple[int, int]
    read: Callable[[slice], np.ndarray]

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        return self.read(rows)


RelevanceRows = np.ndarray | LazySimilarity
"""A matrix of what is true, read in the same blocks of rows as the similarity."""


def blocks(similarity: Rows) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield a similarity matrix as blocks of rows; raise ValueError where it has NaN."""
    for start in range(0, similarity.shape[0], BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        block = similarity[rows]
        if isinstance(block, torch.Tensor):
            block = block.detach().to("cpu", torch.promote_types(block.dtype, torch.float32)).numpy()
        if np.isnan(block).any():
            raise ValueError(f"The similarity matrix has NaN in rows {start} to {start + len(block) - 1}.")
        yield rows, block


@dataclass(frozen=True)
class HammingSimilarity:
    """Minus the Hamming distances of packed codes (q, bytes) and (n, bytes); only rows asked for exist."""

    queries: np.ndarray
    items: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.queries), len(self.items)

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        distance = np.zeros((len(self.queries[rows]), len(self.items)), np.int16)
        for query, item in zip(self.queries[rows].T, self.items.T, strict=True):
            distance += np.bitwise_count(query[:, None] ^ item[None, :])
        return -distance
