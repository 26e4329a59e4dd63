"""What each word of a query does to its ranking: all changed queries are ranked at once.

The queries are encoded in one batch and compared with all images by one matrix product. The ranks are those
of searching for each changed query; `python benchmarks/search_page.py GALLERY` compares them and measures
the time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Encode = Callable[[Sequence[str]], np.ndarray]
"""Texts -> unit vectors, float32 (N, d)."""
MOST_WORDS = 40
"""Most words of a query that are removed one by one."""


@dataclass(frozen=True)
class Ranking:
    """The ranking of the images for one text.

    Attributes:
        text: The query.
        rank: Rank of the image that is explained, from 1; equal scores are ordered by row.
        score: Its cosine.
        rows: Rows of the best images, best first.
        scores: Their cosines.
    """

    text: str
    rank: int
    score: float
    rows: list[int]
    scores: list[float]


def without_each_word(query: str) -> list[str]:
    """Return the query without its first word, without its second word ..., of at most 40 words.

    >>> without_each_word("a red car")
    ['red car', 'a car', 'a red']
    """
    words = query.split()
    return [" ".join(words[:i] + words[i + 1 :]) for i in range(min(len(words), MOST_WORDS))]


def rankings(
    encode: Encode,
    images: np.ndarray,
    texts: Sequence[str],
    row: int,
    *,
    best: int = 12,
    among: np.ndarray | None = None,
) -> list[Ranking]:
    """Rank the images for each text.

    Args:
        encode: Of the texts, in the space of the images.
        images: (n, d) float32 unit vectors.
        texts: Queries.
        row: The image whose rank is wanted.
        best: Number of best images to return.
        among: Rows of the images to rank, ascending, with `row` among them; None for all.

    Returns:
        One ranking per text.
    """
    if not texts:
        return []
    rows = np.arange(len(images)) if among is None else among
    scores = encode(texts) @ np.asarray(images if among is None else images[among]).T
    own = int(np.searchsorted(rows, row))
    result = []
    for text, of_text in zip(texts, scores, strict=True):
        order = np.argsort(-of_text, kind="stable")
        first = order[:best]
        rank = 1 + int((of_text > of_text[own]).sum() + (of_text[:own] == of_text[own]).sum())
        result.append(Ranking(text, rank, float(of_text[own]), rows[first].tolist(), of_text[first].tolist()))
    return result
