"""The splits of cross-modal hashing: queries, the database that they search, and training images in it.

The literature draws these splits at random and does not publish them. Here a fixed seed draws them, so that
every run has the same ones; the sizes are those of CRCGS (Zhang et al., SIGIR 2022).
"""

from collections.abc import Mapping

import numpy as np

from itr_core.pairs.splits import unknown_split

SPLITS = ("train", "val", "query", "database")
SIZES = {"train": 10_000, "query": 2_000, "val": 2_000}
"""Images of the parts of MIRFLICKR-25K."""
PER_CLASS = {"query": 100, "val": 100, "train": 500}
"""Images of each class in the parts of NUS-WIDE."""
_SEED = 0


def rows_of_part(parts: Mapping[str, np.ndarray], split: str | None, n: int, source: str) -> np.ndarray:
    """Return the sorted rows of a split: those of its part; `database`: all others than the queries.

    Args:
        parts: rows by name: `train`, `val` and `query`.
        split: the name, or None for all rows.
        n: number of rows.
        source: the spec, for the error message.

    Raises:
        SourceError: an unknown split.
    """
    if split is None:
        return np.arange(n)
    if split == "database":
        return np.setdiff1d(np.arange(n), parts["query"])
    if split not in parts:
        raise unknown_split(source, split, SPLITS)
    return np.sort(parts[split])


def random_parts(n: int, sizes: Mapping[str, int] = SIZES) -> dict[str, np.ndarray]:
    """Draw disjoint parts of n rows; the parts of a smaller set are smaller in proportion."""
    order = np.random.default_rng(_SEED).permutation(n)
    share = min(1.0, n / sum(sizes.values()))
    stops = np.cumsum([max(1, int(size * share)) for size in sizes.values()])
    return dict(zip(sizes, np.split(order, stops)[:-1], strict=True))


def parts_by_class(has_label: np.ndarray, per_class: Mapping[str, int] = PER_CLASS) -> dict[str, np.ndarray]:
    """Draw disjoint parts with a number of rows for each class, of the rarest class first.

    Args:
        has_label: (n, C) bool.
        per_class: rows of each class in a part; they are fewer, in proportion, if the rarest class has fewer.
    """
    random = np.random.default_rng(_SEED)
    counts = has_label.sum(axis=0)
    share = min(1.0, counts.min() / sum(per_class.values()))
    left = np.ones(len(has_label), np.bool_)
    parts = {}
    for name, size in per_class.items():
        drawn = []
        for label in np.argsort((has_label & left[:, None]).sum(axis=0), kind="stable"):
            rows = np.flatnonzero(has_label[:, label] & left)
            drawn.append(random.permutation(rows)[: max(1, int(size * share))])
            left[drawn[-1]] = False
        parts[name] = np.concatenate(drawn)
    return parts
