"""What a query with words that nobody has met was probably meant to be."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

from itr_core.gallery import Gallery
from itr_core.picturebook.phrases import VOCABULARY
from itr_core.vocabulary import nearest_word, words_of


class Part(NamedTuple):
    """A part of a corrected query, and whether it replaces a word."""

    text: str
    changed: bool


def known_words(gallery: Gallery) -> Counter[str]:
    """Return the words of the gallery's captions with their frequencies; in Picturebook, all of its words."""
    counts = Counter(
        word for captions in gallery.items["captions"] for text in captions for word in words_of(text)
    )
    if gallery.manifest.source.partition(":")[0] == "picturebook":
        counts.update(VOCABULARY)
    return counts


def corrected(
    query: str, unseen: Collection[str], known: Mapping[str, int], *, closed: bool = False
) -> list[Part]:
    """Return the query with a known word for each unknown one that is near to one; empty if there is none.

    Args:
        query: The query.
        unseen: Words of it, in lower case, that the model has never met.
        known: Known words with their frequencies.
        closed: Words that are not in `known` are unknown even if the model has met them, perhaps as typos.
    """
    parts = [Part("", False)]
    for piece in re.split(r"(\w+)", query):
        word = piece.lower()
        unknown = word.isalpha() and word not in known and (closed or word in unseen)
        if unknown and (nearest := nearest_word(word, known)):
            parts.append(Part(nearest, True))
        elif parts[-1].changed:
            parts.append(Part(piece, False))
        else:
            parts[-1] = Part(parts[-1].text + piece, False)
    return [part for part in parts if part.text] if len(parts) > 1 else []
