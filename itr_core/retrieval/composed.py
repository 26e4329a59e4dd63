"""Composed queries: embeddings added and subtracted, for "without X" and "this picture, but at night".

A dual encoder hardly uses the word "without": "a meadow without dogs" finds meadows with dogs. Subtracting
the embedding n of what should be absent from that of the other words p works better:

    q = unit(p - 0.5 n)

With several minus terms, each is subtracted with the same weight. A picture v is changed by adding what it
should show and subtracting what it shows instead ("this, but at night instead of by day"):

    q = unit(v + 1.5 (plus - minus))

`unit` scales to unit norm, so that scores stay cosines. Arithmetic of this kind goes back to word vectors
(Mikolov et al., NAACL 2013); for images and texts in one space see Jia et al., ALIGN (ICML 2021), section 6.
`python benchmarks/search_page.py GALLERY` measures both formulas, the first also with other weights.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from itr_core.picturebook.ontology import PLACES, TIMES, WEATHERS

MINUS_WEIGHT = 0.5
"""Weight of a minus term in a query of words."""
CHANGE_WEIGHT = 1.5
"""Weight of the words that are added to a picture and subtracted from it."""

MOST_MINUS = 8
"""Most minus terms of a query that are subtracted."""

_ENDS = (
    "about above across after along and are as at before behind below beneath beside between but by during "
    "for from has have in inside is near next of off on onto outside over that to under underneath which "
    "while who with without no nor or"
)
_SETTINGS = sorted(
    {
        words[-1]
        for words in (
            *(place.words for place in PLACES.values()),
            *(each["words"] for each in (*TIMES.values(), *WEATHERS.values())),
        )
    },
    key=len, reverse=True,
)  # fmt: skip
_WORD = rf"(?!(?:{'|'.join(_ENDS.split())})\b)[^\W_]+(?:[-'’][^\W_]+)*"
_THING = rf"(?:(?:an?|any|the|some)\s+)?({_WORD}(?:\s+(?!(?:{'|'.join(_SETTINGS)})\b){_WORD})*)"
_AND = r"\band\b(?!\s+(?:an?|the|some|one|two|with|without|no)\b)"
_MORE = rf"(?:,|\bor\b|\bnor\b|{_AND})\s*{_THING}"
_MINUS = re.compile(
    rf"""(?:(?<![\s,;])[\s,;]+)?(?:\b(?:and|but)\s+)?\b(?:with\s+no|without|no)\s+{_THING}(?P<more>(?:\s*{_MORE})*)"""
    r"""|(?:^|\s)-(?:"([^"]+)"|([^\W\d_][\w'’-]*))""",
    re.IGNORECASE,
)


class MinusQuery(NamedTuple):
    """A query in words, taken apart.

    Attributes:
        words: what the picture should show; "" if the query only says what is absent.
        minus: what it should not show, in the order of the query; empty if nothing.
    """

    words: str
    minus: tuple[str, ...]


def split_minus(query: str) -> MinusQuery:
    """Take "without X", "no X" and "-X" out of a query.

    X ends before a preposition, a verb, a comma, or a word for a place, a time or the weather, so that in
    "dog no cat beach" the beach is wanted. "or" and "and" add a further minus term, unless an article or a
    number follows "and". `-"two words"` is one term. At most 8 terms are returned.

    >>> split_minus("a meadow without dogs or cats at night")
    MinusQuery(words='a meadow at night', minus=('dogs', 'cats'))
    >>> split_minus("red car -night")
    MinusQuery(words='red car', minus=('night',))
    """
    minus: list[str] = []
    for found in _MINUS.finditer(query):
        first = found[1] or found[4] or found[5]
        minus += [first, *re.findall(_MORE, found["more"] or "", re.IGNORECASE)]
    if not minus:
        return MinusQuery(query, ())
    return MinusQuery(" ".join(_MINUS.sub(" ", query).split()).strip(" ,;"), tuple(minus[:MOST_MINUS]))


def minus_query(
    words: np.ndarray | None, minus: Sequence[np.ndarray], weight: float = MINUS_WEIGHT
) -> np.ndarray:
    """Compute unit(p - weight * (n1 + n2 + ...)).

    Args:
        words: p, (d,) or (q, d) for q queries with the same minus terms; None if there are only minus terms.
        minus: the n, each (d,).
        weight: of each minus term.

    Returns:
        Of the shape of `words`, float32 of unit norm.
    """
    parts = [-weight * each for each in minus] + ([] if words is None else [words])
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return _unit(total)


def changed_picture(picture: np.ndarray, plus: np.ndarray, minus: np.ndarray | None) -> np.ndarray:
    """Compute unit(v + 1.5 (plus - minus)), (d,) float32 of unit norm; without `minus`, unit(v + 1.5 plus).

    Args:
        picture: v, (d,) of unit norm.
        plus: (d,) of the words for what the picture should show.
        minus: (d,) of the words for what it shows instead.
    """
    return _unit(picture + CHANGE_WEIGHT * (plus if minus is None else plus - minus))


def _unit(x: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    return (x / np.maximum(norm, 1e-12)).astype(np.float32)
