"""Marks on the results of a search: right or wrong, where the truth is known."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from analysis.gallery_analysis import GalleryAnalysis
from analysis.query_truth import Judged, Kind
from itr_core.retrieval.searcher import Hit


class Mark(NamedTuple):
    """A mark: its colour ("right", "wrong" or "unsure"), symbol, word, and a reason in plain words."""

    colour: str
    symbol: str
    word: str
    reason: str = ""


_OWN_CAPTION = Mark("right", "✓", "Its own caption")


class Marks(NamedTuple):
    """The marks of a grid of pictures, as values of `truth.html`.

    Attributes:
        marks: One for each picture; None where nothing is known.
        one: Only the picture that has the query as a caption counts as right, as for R@1.
        guess: The marks are hidden until the visitor has guessed.
        lines: Sentences above the grid.
        switches: Whether there is something to switch.
    """

    marks: list[Mark | None]
    one: bool
    guess: bool
    lines: list[str]
    switches: bool


_EVERY: dict[Kind, Mark | None] = {
    "own": Mark("right", "✓", "Right", "these words are its caption"),
    "right": Mark("right", "✓", "Right"),
    "wrong": Mark("wrong", "✗", "Wrong"),
    "unknown": None,
}
_ONE: dict[Kind, Mark | None] = _EVERY | {
    "own": Mark("right", "✓", "The one right answer"),
    "right": Mark("unsure", "✓", "Also correct", "R@1 counts it as wrong"),
    "unknown": Mark("unsure", "?", "Wrong for R@1", "whether it is, nobody has said"),
}


def options_of(asked: Mapping[str, str]) -> dict[str, str]:
    """Return the valid options of an address that concern marks."""
    valid = {"truth": "one", "guess": "1"}
    return {name: value for name, value in valid.items() if asked.get(name) == value}


def picture_marks(
    analysis: GalleryAnalysis, embedding: np.ndarray, hits: Sequence[Hit], asked: Mapping[str, str]
) -> Marks | None:
    """Return the marks of the pictures found for a query; None if nothing is known about them.

    Args:
        analysis: Of the gallery.
        embedding: What was searched for, (d,).
        hits: The pictures.
        asked: Parameters of the address: the query `q`, and `options_of` it.
    """
    rows = [analysis.gallery.row(hit.item_id) for hit in hits]
    judged = analysis.judged(asked["q"], embedding, rows)
    if judged.right is None and not judged.own_rank:
        known = analysis.query_truth
        return Marks([None] * len(hits), False, False, list(known.unknown), False) if known else None
    options = options_of(asked)
    one, guess = "truth" in options, judged.right is not None and "guess" in options
    words = _ONE if one and judged.own_rank else _EVERY
    marks = [_with_reason(words[kind], false) for kind, false in judged.marks]
    lines = []
    if judged.right is not None:
        lines += [_counts(judged, len(analysis.gallery)), judged.origin]
    if one:
        lines.append(_for_r1(judged))
    elif judged.right is None:
        lines.append(f"These words are the caption of the picture at rank {judged.own_rank:,}.")
    return Marks(marks, one, guess, lines, True)


def _with_reason(mark: Mark | None, false: str) -> Mark | None:
    return mark and mark._replace(reason=false or mark.reason)


def _counts(judged: Judged, size: int) -> str:
    shown = len(judged.marks)
    if judged.known is not None:
        unknown = [kind for kind, _ in judged.marks].count("unknown")
        return (
            f"Of the first {shown} pictures, {judged.right} {_are(judged.right)} right and {unknown} "
            f"{_are(unknown)} not judged. Of all {size:,}, {judged.known:,} {_are(judged.known)} judged and "
            f"{judged.total:,} {_are(judged.total)} right."
        )
    if not judged.total:
        return f"None of the {size:,} pictures is right."
    of_all = f"{judged.total:,} of {size:,} {_are(judged.total)}"
    return f"{judged.right} of the first {shown} pictures {_are(judged.right)} right; {of_all}."


def _are(number: int | None) -> str:
    return "is" if number == 1 else "are"


def _for_r1(judged: Judged) -> str:
    """Say what R@1 makes of the search."""
    if not judged.own_rank:
        return "No picture has these words as its caption, so R@1 has no right answer for them."
    first = (
        f"R@1 accepts only the picture that has these words as its caption: it has rank {judged.own_rank:,}"
    )
    if judged.own_rank == 1:
        return f"{first}, so R@1 counts this search as right."
    if judged.marks[0][0] == "right":
        return f"{first}, so R@1 counts this search as an error, and it is none: the first picture is right."
    return f"{first}, so R@1 counts this search as an error."


def caption_marks(analysis: GalleryAnalysis, item: str, hits: Sequence[Hit]) -> list[Mark | None]:
    """Return the marks of captions found for a picture of the gallery."""
    known, row = analysis.query_truth, analysis.gallery.row(item)
    return [
        _OWN_CAPTION
        if hit.item_id == item
        else _caption_mark(known.of_caption(hit.caption, row) if known else None)
        for hit in hits
    ]


def _caption_mark(truth: tuple[bool, str] | None) -> Mark | None:
    if truth is None:
        return None
    true, false = truth
    return Mark("right", "✓", "Also correct") if true else Mark("wrong", "✗", "Wrong", false)
