"""Why an image of a gallery has its rank for a query."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.probes.word_importance import best_patches, located, word_importance, word_patch_map
from itr_core.errors import ModelError
from itr_core.retrieval.query_text import normalised
from itr_core.retrieval.searcher import Searcher


@dataclass(frozen=True)
class Explanation:
    """Score and rank of an image for a query, and what each word does for them.

    Attributes:
        query: The query as the model reads it, to whose characters `words` refers.
        score: Cosine of the query and the image.
        rank: Rank of the image among all images of the gallery; 1 is best.
        words: See `analysis.probes.word_importance.word_importance`.
        patches: See `analysis.probes.word_importance.best_patches`; None if the model has no patch tokens.
    """

    query: str
    score: float
    rank: int
    words: pd.DataFrame
    patches: pd.DataFrame | None


def explain(searcher: Searcher, query: str, item_id: str) -> Explanation:
    """Explain the rank of an image for a query by leaving out words and by the patches that fit each word.

    Args:
        searcher: Of the gallery.
        query: Any text with at least one word.
        item_id: The image.

    Raises:
        QueryError: The query is empty, or the gallery has no such image.
        ImageError: The thumbnail of the image is damaged or away.
    """
    gallery, text = searcher.gallery, normalised(query)
    row = gallery.row(item_id)
    scores = np.asarray(gallery.image_embeddings) @ searcher.embed_text(query)
    patches = None
    try:
        image = gallery.decoded_thumbnail(row)
        words, maps = word_patch_map(searcher.encoder, image, text)
        patches = best_patches(words, maps, located(searcher.encoder, image, words, maps))
    except ModelError:  # no patch tokens
        pass
    return Explanation(
        query=text,
        score=float(scores[row]),
        rank=1 + int((scores > scores[row]).sum()),
        words=word_importance(searcher, text, gallery.image_embeddings[row]),
        patches=patches,
    )
