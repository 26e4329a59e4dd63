"""Composed searches of an address: minus terms, a picture with a change, and filters."""

from typing import NamedTuple

import numpy as np

from analysis.query_length import buckets_of_lengths
from itr_core.errors import QueryError
from itr_core.retrieval.composed import split_minus
from itr_core.retrieval.filters import word_range
from itr_core.retrieval.instead_of import likely_alternative
from itr_core.retrieval.searcher import Searcher
from ui.web import html

MOST_LABELS = 200
"""Most labels to choose from, the most frequent ones; a link may have another one."""


class Words(NamedTuple):
    """A query in words as it is searched for.

    Attributes:
        text: What the pictures should show.
        minus: What they should not show.
    """

    text: str
    minus: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """The query for people: “a meadow” minus “dogs”."""
        absent = "".join(f" minus “{html.shortened(each, 30)}”" for each in self.minus)
        return (f"“{html.shortened(self.text)}”" if self.text or not absent else "everything") + absent


def readings(asked: dict[str, str]) -> list[Words]:
    """Return how the words of an address are searched for.

    Args:
        asked: Parameters with `q`, and `minus`: "1" to subtract what is after "without", "no" or "-", "0" to
            take the words as they are. Without `minus`, a query with such words is searched for in both ways.
    """
    query = asked["q"]
    words, minus = split_minus(query)
    plain, composed = Words(query), Words(words, minus)
    if not minus or asked.get("minus") == "0":
        return [plain]
    return [composed] if asked.get("minus") == "1" else [plain, composed]


def labels_of(searcher: Searcher, asked: dict[str, str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the labels of which the pictures have all, and notes on those that the gallery does not have.

    Args:
        searcher: Of the gallery.
        asked: Parameters of the address; `label` has one label a line.
    """
    asked_for = dict.fromkeys(filter(None, asked.get("label", "").split("\n")))
    notes = [
        f"No picture here has the label “{html.shortened(label, 40)}”, so it is ignored."
        for label in asked_for
        if label not in searcher.labels
    ]
    return tuple(label for label in asked_for if label in searcher.labels), notes[:3]


def label_parameter(labels: tuple[str, ...]) -> dict[str, str]:
    """Return the labels as parameters of an address."""
    return {"label": "\n".join(labels)} if labels else {}


def caption_words_of(searcher: Searcher, asked: dict[str, str]) -> tuple[str, list[str]]:
    """Return how many words the captions found have ("" for any number), and why another number is ignored.

    Args:
        searcher: Of a gallery with captions.
        asked: Parameters of the address; `words` is for `word_range`.
    """
    words = asked.get("words", "")
    if not words:
        return "", []
    try:
        searcher.having((), "captions", word_range(words))
    except QueryError as error:
        return "", [str(error)]
    return words, []


def refine_captions(searcher: Searcher, words: str) -> str:
    """Return the choice of how many words the captions found have.

    Args:
        searcher: Of a gallery with captions.
        words: The choice now.
    """
    buckets = [(name, len(rows)) for name, rows in buckets_of_lengths(searcher.caption_words)]
    return html.render("refine_captions.html", buckets=buckets, chosen=words)


class Change(NamedTuple):
    """What a picture should show, and what it shows instead; both can be ""."""

    but: str
    instead: str


def change_of(searcher: Searcher, picture: np.ndarray, asked: dict[str, str]) -> Change:
    """Return the change of a picture in an address; in Picturebook, `instead` is found if it is missing.

    Args:
        searcher: Of the gallery.
        picture: Embedding (d,).
        asked: Parameters of the address: `but`, `instead`.
    """
    but, instead = asked.get("but", "").strip(), asked.get("instead", "").strip()
    if but and not instead:
        instead = likely_alternative(searcher, picture, but)
    return Change(but, instead)


def refine_words(searcher: Searcher, searched: list[Words], labels: tuple[str, ...]) -> str:
    """Return the chip for minus terms, if the query has any, and the choice of a label.

    Args:
        searcher: Of the gallery.
        searched: How the words are searched for; two ways need no chip.
        labels: What filters the pictures now.
    """
    [now, *other] = searched
    composed = now if now.minus else Words(*split_minus(now.text))
    offered = composed if composed.minus and not other else None
    return _refine(searcher, labels, minus=offered, applied=bool(now.minus))


def refine_picture(
    searcher: Searcher, change: Change, search: dict[str, str], labels: tuple[str, ...]
) -> str:
    """Return the form "this, but" of a search with a picture, and the choice of a label.

    Args:
        searcher: Of the gallery.
        change: What is searched for now.
        search: Parameters of the address that name the picture.
        labels: What filters the pictures now.
    """
    return _refine(searcher, labels, change=change, search=search)


def _refine(searcher: Searcher, labels: tuple[str, ...], **values: object) -> str:
    among = searcher.having(labels)
    counts = {
        label: len(rows) if among is None else len(np.intersect1d(among, rows))
        for label, rows in list(searcher.labels.items())[:MOST_LABELS]
        if label not in labels
    }
    others = sorted((label, count) for label, count in counts.items() if count)
    return html.render("refine.html", labels=others, chosen=labels, **values)
