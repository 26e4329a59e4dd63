"""Random samples of rows, for measures that would take too long on all rows."""

import numpy as np


def sample_rows(count: int, most: int, seed: int = 0, *, sort: bool = True) -> np.ndarray:
    """Draw at most `most` of `count` rows without replacement.

    Args:
        count: number of rows, at least 0.
        most: largest size of the sample. If `count` is not larger, all rows are returned in order.
        seed: the same seed, `count` and `most` give the same rows.
        sort: return the rows in ascending order, else in the order of the draw.

    Returns:
        (min(count, most),) int64, all different, in [0, count).

    >>> sample_rows(3, 5), len(sample_rows(1000, 5))
    (array([0, 1, 2]), 5)
    """
    if count <= most:
        return np.arange(count)
    rows = np.random.default_rng(seed).choice(count, most, replace=False)
    return np.sort(rows) if sort else rows


def shuffled_rows(random: np.random.Generator, count: int, most: int) -> np.ndarray:
    """Draw at most `most` of `count` rows, in random order, from a generator that draws other things too.

    The generator advances by the same amount whatever `most` is. The draws differ from those of
    `sample_rows`; published figures depend on both.

    Args:
        random: the generator, which is advanced.
        count: number of rows.
        most: largest size of the sample.

    Returns:
        (min(count, most),) int64, all different, in [0, count), in random order.
    """
    return random.permutation(count)[:most]
