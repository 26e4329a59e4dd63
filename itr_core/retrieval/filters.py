"""What a search is limited to: images with some labels, or captions of so many words."""

import re
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property, reduce
from typing import Literal, NamedTuple

import numpy as np

from itr_core.errors import QueryError, did_you_mean
from itr_core.vocabulary import word_counts

Of = Literal["images", "captions"]
"""What is searched."""
Words = tuple[int | None, int | None]
"""Fewest and most words of a caption, both included; None for no limit on this side."""

_RANGE = re.compile(r"([0-9]{0,9})[-–]([0-9]{0,9})|([0-9]{1,9})(\+?)")


class Among(NamedTuple):
    """What a search is limited to."""

    rows: np.ndarray
    """int64, ascending."""
    labels: tuple[str, ...] = ()
    """What exactly these images have in common, for engines that filter by it."""
    words: tuple[int, int] | None = None
    """Fewest and most words that exactly these captions have, for engines that filter by it."""


class Filters:
    """The filters of a gallery.

    Args:
        labels: the labels of each image, None where it has none.
        captions: the captions that can be found.
    """

    def __init__(self, labels: Iterable[list[str] | None], captions: Sequence[str]) -> None:
        self._labels = labels
        self._captions = captions

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """Labels of the gallery, most frequent first, and the rows of the images that have each, int64."""
        rows: dict[str, list[int]] = {}
        for row, labels in enumerate(self._labels):
            for label in labels if labels is not None else ():
                rows.setdefault(str(label), []).append(row)
        ordered = sorted(rows.items(), key=lambda each: (-len(each[1]), each[0]))
        return {label: np.unique(np.array(each, dtype=np.int64)) for label, each in ordered}

    @cached_property
    def words(self) -> np.ndarray:
        """Number of words of each caption, int64."""
        return word_counts(self._captions)

    def among(self, of: Of, labels: Collection[str] = (), words: Words | None = None) -> Among | None:
        """Return what a search is limited to; None without a limit.

        Args:
            of: what is searched.
            labels: only images that have all of these.
            words: only captions of so many words.

        Raises:
            QueryError: No image of the gallery has one of the labels, or no caption so many words; the limit
                is none, or not one of what is searched.
        """
        if labels and of != "images":
            raise QueryError("Only images can be filtered by label (of='images').")
        if words is not None:
            return self._of_length(words, of)
        for label in labels:
            if label not in self.labels:
                raise QueryError(
                    f"No image of this gallery has the label {label!r}.{did_you_mean(label, self.labels)}"
                )
        if not labels:
            return None
        return Among(reduce(np.intersect1d, (self.labels[each] for each in labels)), tuple(labels))

    def _of_length(self, words: Words, of: Of) -> Among:
        fewest, most = _checked(words)
        if of != "captions":
            raise QueryError(
                f"{_text(words)} words: the number of words limits captions, not images; search captions "
                "(of='captions'), or leave it out."
            )
        longest = int(self.words.max(initial=0))
        least = int(self.words.min(initial=longest))
        bounds = max(fewest or 0, least), longest if most is None else min(most, longest)
        rows = np.flatnonzero((self.words >= bounds[0]) & (self.words <= bounds[1]))
        if not len(rows):
            raise QueryError(
                f"No caption of this gallery has {_text(words)} words: choose from {least} to {longest}."
            )
        return Among(rows, words=bounds)


def word_range(text: str) -> Words:
    """Read numbers of words as people type them.

    >>> word_range("3-8"), word_range("3-"), word_range("3+"), word_range("-8"), word_range("5")
    ((3, 8), (3, None), (3, None), (None, 8), (5, 5))

    Raises:
        QueryError: The text is no such range, or no number is in it.
    """
    found = _RANGE.fullmatch("".join(text.split()))
    if not found or not any(found.groups()):
        raise QueryError(
            f"{text[:40]!r} is no number of words: write 3-8, 3- for 3 or more, -8 for 8 or fewer, or 5."
        )
    fewest, most, one, more = found.groups()
    if one:
        return _checked((int(one), None if more else int(one)))
    return _checked((int(fewest) if fewest else None, int(most) if most else None))


def _checked(words: Words) -> Words:
    valid = (
        isinstance(words, Sequence)
        and len(words) == 2
        and any(each is not None for each in words)
        and all(each is None or (type(each) is int and each >= 0) for each in words)
    )
    if not valid:
        raise QueryError(
            f"words={words!r}: give the fewest and the most words of a caption, such as (3, 8), (3, None) or "
            "(None, 8)."
        )
    fewest, most = words
    if fewest is not None and most is not None and fewest > most:
        raise QueryError(f"{_text(words)} words: the smaller number comes first; write {most}-{fewest}.")
    return words


def _text(words: Words) -> str:
    fewest, most = words
    return f"{fewest}+" if most is None else f"{'' if fewest is None else fewest}-{most}"
