"""Validation during training: the retrieval metrics of embedded images and their captions."""

from collections.abc import Sequence

import numpy as np

from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.errors import SourceError
from itr_core.metrics.recall import retrieval_metrics
from itr_core.metrics.similarity import CosineSimilarity


def score(encoder: DualEncoder, images: np.ndarray, captions: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the `retrieval_metrics` of images and their captions.

    Args:
        encoder: embeds the captions.
        images: (n, d) float32, embeddings of unit norm.
        captions: the captions of each of the n images.

    Raises:
        SourceError: there is no caption.
    """
    image_of_caption = np.repeat(np.arange(len(captions)), [len(texts) for texts in captions])
    if not len(image_of_caption):
        raise SourceError("Recall needs captions; no image of the source has one.")
    texts = encoder.encode_texts([text for texts in captions for text in texts])
    return retrieval_metrics(CosineSimilarity(images, texts), image_of_caption)
