"""The verdict on a search: whether the first result is likely to match, and how many results may.

Levels are thresholds on the rates of `analysis.confidence`. Results are likely to match until the first one
with a low rate of `Calibration.match_rate`. `python benchmarks/search_page.py GALLERY` measures both against
the truth.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.confidence import Confidence

Level = Literal["good", "unsure", "unlikely", "unfamiliar"]
UNLIKELY = 0.05
"""Share of the queries with a match that get the level "unlikely"."""
UNSURE = 0.25
"""Share of the queries with a match that get the level "unsure" or "unlikely"."""
UNFAMILIAR = 0.02
"""Share of pictures like those of the gallery that get the level "unfamiliar"."""
CUT = 0.1
"""Share of the matches that are taken as unlikely."""


@dataclass(frozen=True)
class Verdict:
    """Verdict on one search.

    Attributes:
        level: "good", "unsure" or "unlikely" for a query in words; "good" or "unfamiliar" for a picture.
        rate: Share of the queries with a match that score as low as this one, or of the pictures of the
            gallery that are as unusual, in (0, 1].
        likely: Number of first results that may match.
    """

    level: Level
    rate: float
    likely: int


def verdict_on_query(
    confidence: Confidence | None,
    query: str,
    embedding: np.ndarray,
    scores: np.ndarray,
    unseen: Collection[str] = (),
) -> Verdict | None:
    """Judge the results of a query in words; None if the gallery has too few captions to tell.

    Args:
        confidence: Of the gallery; None if it is not computed yet.
        query: The words.
        embedding: Of the query, (d,) of unit norm.
        scores: Cosines of the query with its results, best first.
        unseen: Words of the query that the model has not met.
    """
    if confidence is None or confidence.queries is None or not len(scores):
        return None
    rate = confidence.of_query(query, embedding, float(scores[0]), unseen)
    level: Level = "unlikely" if rate <= UNLIKELY else "unsure" if rate <= UNSURE else "good"
    unlikely = np.flatnonzero(confidence.queries.match_rate(embedding, scores) <= CUT)
    return Verdict(level, rate, int(unlikely[0]) if len(unlikely) else len(scores))


def verdict_on_picture(confidence: Confidence | None, embedding: np.ndarray, count: int) -> Verdict | None:
    """Judge a picture (d,) by its likeness to those of the gallery; None if that is not known."""
    if confidence is None or confidence.pictures is None:
        return None
    rate = confidence.of_picture(embedding)
    return Verdict("unfamiliar" if rate <= UNFAMILIAR else "good", rate, count)


def count_unfamiliar(confidence: Confidence | None, embeddings: np.ndarray) -> int:
    """Return how many pictures (n, d) are unlike those of the gallery; 0 if that is not known."""
    if confidence is None or confidence.pictures is None:
        return 0
    return int(np.sum(confidence.pictures.p_value(np.asarray(embeddings)) <= UNFAMILIAR))
