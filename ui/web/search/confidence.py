"""Notes on searches of which the gallery probably contains no match."""

from collections.abc import Sequence

import numpy as np

from analysis.confidence import Confidence
from itr_core.retrieval.searcher import Hit, Searcher

QUERY_RATE = 0.05
"""Share of the queries with a match in the gallery that are nevertheless reported as low confidence."""
PICTURE_RATE = 0.02
"""Share of pictures like those of the gallery that are nevertheless reported as low confidence."""


def query_notes(
    confidence: Confidence | None, searcher: Searcher, query: str, hits: Sequence[Hit]
) -> list[str]:
    """Return a note if queries with a match rarely score as low as this one; none without a calibration."""
    if confidence is None or not hits:
        return []
    rate = confidence.of_query(query, searcher.embed_text(query), hits[0].score)
    if rate > QUERY_RATE:
        return []
    return [f"Low confidence: {_share(rate)} of queries with a match here score this low."]


def picture_notes(confidence: Confidence | None, embedding: np.ndarray) -> list[str]:
    """Return a note if the picture with this embedding (d,) is unlike those of the gallery."""
    if confidence is None or (rate := confidence.of_picture(embedding)) > PICTURE_RATE:
        return []
    return [
        f"Low confidence: only {_share(rate)} of the pictures in this gallery are as unusual to the model "
        "as this one."
    ]


def _share(rate: float) -> str:
    return "under 1 %" if rate < 0.01 else f"about {100 * rate:.0f} %"
