"""Example queries of a gallery."""

from itertools import islice

from itr_core.gallery import Gallery
from itr_core.vocabulary import word_count

HARD = "beach without people"
"""Example that the shipped models get wrong."""
PICTUREBOOK = (
    "elephant in the desert",
    "red boat at sunset",
    "three penguins",
    "a lamp next to a sofa",
    "a flying seagull",
    "animal in the forest",
    HARD,
)
"""Examples by kind: two things, attribute, number, relation, state, class word and negation. Of the first 12
pictures at least 10 are right, or all right ones of the gallery (`python benchmarks/examples.py`)."""
MOST = 6
WORDS = range(2, 9)
"""Numbers of words of a caption that is short enough for a button."""


def examples(gallery: Gallery) -> list[str]:
    """Return queries that suit a gallery: for Picturebook made ones, else captions; none without captions."""
    if gallery.manifest.source.startswith("picturebook"):
        return list(PICTUREBOOK)
    items = gallery.items["captions"]
    spread = items.iloc[:: max(1, len(items) // (4 * MOST))]
    short = (text for captions in spread for text in captions[:1] if word_count(text) in WORDS)
    return list(islice(dict.fromkeys(short), MOST))
