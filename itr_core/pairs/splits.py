"""Splits: the suffix of a spec, and the splits of Karpathy's files."""

from collections.abc import Sequence
from pathlib import Path

from itr_core.errors import SourceError, did_you_mean


def separate_split(rest: str) -> tuple[str, str | None]:
    """Separate `PATH:split` or `NAME:split`; colons of an existing path are kept."""
    name, colon, split = rest.rpartition(":")
    return (name, split) if colon and not Path(rest).exists() else (rest, None)


def unknown_split(source: str, split: str, known: Sequence[str]) -> SourceError:
    """Return the error for an unknown split."""
    return SourceError(f"{source}: unknown split {split!r}.{did_you_mean(split, known)}")


def rows_of_split(splits: Sequence[str | None], split: str, source: str) -> list[int]:
    """Return the rows of `split`; `train` includes Karpathy's `restval`, as usual since VSE++ (2018)."""
    wanted = {"train", "restval"} if split == "train" else {split}
    rows = [row for row, name in enumerate(splits) if name in wanted]
    if not rows:
        raise unknown_split(source, split, sorted({str(name) for name in splits if name}))
    return rows
