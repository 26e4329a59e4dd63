"""The split at the end of a spec, and Karpathy's splits."""

from collections.abc import Sequence
from pathlib import Path

from itr_core.errors import SourceError, did_you_mean


def cut_split(rest: str) -> tuple[str, str | None]:
    """Cut `PATH:split` or `NAME:split`; an existing path keeps its colons."""
    name, colon, split = rest.rpartition(":")
    return (name, split) if colon and not Path(rest).exists() else (rest, None)


def unknown_split(source: str, split: str, known: Sequence[str]) -> SourceError:
    """The error for a split that there is not."""
    return SourceError(f"{source}: there is no split {split!r}.{did_you_mean(split, known)}")


def rows_of_split(splits: Sequence[str], split: str, source: str) -> list[int]:
    """Return the rows of `split`; `train` takes in Karpathy's `restval`, as usual since VSE++ (2018)."""
    wanted = {"train", "restval"} if split == "train" else {split}
    rows = [row for row, name in enumerate(splits) if name in wanted]
    if not rows:
        raise unknown_split(source, split, sorted(set(splits)))
    return rows
