"""Composed searches of an address: minus terms, a picture with a change, and a filter by label."""

from typing import NamedTuple

import numpy as np

from itr_core.retrieval.composed import split_minus
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


def label_of(searcher: Searcher, asked: dict[str, str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the labels that filter the pictures, at most one, and a note if the gallery has none such."""
    label = asked.get("label", "")
    if not label or label in searcher.labels:
        return ((label,) if label else ()), []
    return (), [f"No picture here has the label “{html.shortened(label, 40)}”, so all are searched."]


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
    choices = [(label, len(rows)) for label, rows in list(searcher.labels.items())[:MOST_LABELS]]
    chosen = labels[0] if labels else ""
    if chosen and chosen not in dict(choices):
        choices.append((chosen, len(searcher.labels[chosen])))
    return html.render("refine.html", labels=sorted(choices), label=chosen, **values)
