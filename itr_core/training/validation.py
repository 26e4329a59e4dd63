"""Validation during training: the retrieval metrics of embedded images and their captions."""

from collections.abc import Sequence

import numpy as np

from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.encoders.heads import Heads, weighted_pair
from itr_core.encoders.reranking import reranked_ranks
from itr_core.errors import SourceError
from itr_core.metrics.recall import retrieval_metrics, summary
from itr_core.metrics.similarity import CosineSimilarity

EXTRA_WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Weights of extra embeddings, from which validation chooses."""


def score(
    encoder: DualEncoder,
    images: np.ndarray,
    captions: Sequence[Sequence[str]],
    heads: Heads | None = None,
    patches: np.ndarray | None = None,
) -> dict[str, float]:
    """Return the `retrieval_metrics` of images and their captions.

    If the heads have extra embeddings, these are the metrics at their weight or, if this is 0, at the weight
    of `EXTRA_WEIGHTS` with the highest rSum; `extra_weight` is this weight, and `rsum_without_extra` the rSum
    at weight 0.

    If a local similarity takes part, these are the metrics after re-ranking, because it will rank the results
    (see `reranked_ranks`); `rsum_by_cosine` is the rSum without.

    Args:
        encoder: embeds the captions.
        images: (n, d) float32, embeddings of unit norm.
        captions: the captions of each of the n images.
        heads: heads of the method in training.
        patches: (n, P, d), patch tokens of the images; needed if a local similarity takes part.

    Raises:
        SourceError: there is no caption.
    """
    image_of_caption = np.repeat(np.arange(len(captions)), [len(texts) for texts in captions])
    if not len(image_of_caption):
        raise SourceError("Recall needs captions; no image of the source has one.")
    flat = [text for texts in captions for text in texts]
    if heads is not None and heads.roles.local is not None and patches is not None:
        texts, words, mask = encoder.encode_texts(flat, tokens=True)
        by_cosine = retrieval_metrics(CosineSimilarity(images, texts), image_of_caption)
        found = reranked_ranks((images, patches), (texts, words, mask), image_of_caption, heads.roles.local)
        return summary(*found) | {"rsum_by_cosine": by_cosine["rsum"]}
    texts = encoder.encode_texts(flat)
    if heads is None or heads.extra is None:
        return retrieval_metrics(CosineSimilarity(images, texts), image_of_caption)
    of_images, of_texts = heads.extra.images(images), heads.extra.texts(texts, flat)
    set_weight = heads.roles.extra_weight
    scores = []
    for weight in (0.0, set_weight) if set_weight else EXTRA_WEIGHTS:
        both = weighted_pair(images, of_images, weight), weighted_pair(texts, of_texts, weight)
        scores.append(retrieval_metrics(CosineSimilarity(*both), image_of_caption) | {"extra_weight": weight})
    best = scores[1] if set_weight else max(scores, key=lambda metrics: metrics["rsum"])
    return best | {"rsum_without_extra": scores[0]["rsum"]}
