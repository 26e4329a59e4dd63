"""Example queries of a gallery."""

from itertools import islice

from itr_core.gallery import Gallery

PICTUREBOOK = (
    "two dogs in a meadow",
    "red car at night",
    "a cat sleeping on a sofa",
    "hot-air balloon over snowy mountains",
    "penguins and a snowman",
    "lighthouse at sunset",
)
MOST = 6
WORDS = range(2, 9)
"""Numbers of words of a caption that is short enough for a button."""


def examples(gallery: Gallery) -> list[str]:
    """Return queries that suit a gallery: for Picturebook made ones, else captions; none without captions."""
    if gallery.manifest.source.startswith("picturebook"):
        return list(PICTUREBOOK)
    items = gallery.items["captions"]
    spread = items.iloc[:: max(1, len(items) // (4 * MOST))]
    short = (text for captions in spread for text in captions[:1] if len(text.split()) in WORDS)
    return list(islice(dict.fromkeys(short), MOST))
