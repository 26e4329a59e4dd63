"""Blocks of rows, so that no matrix of all pairs of points exists in memory."""

from collections.abc import Iterator

BLOCK_ROWS = 1_024


def blocks(count: int, size: int | None = None) -> Iterator[slice]:
    """Cut `count` rows into slices of at most `size` rows (1,024 by default).

    >>> list(blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = size or BLOCK_ROWS
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
