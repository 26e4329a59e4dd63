"""Validation during training: the retrieval metrics of embedded images and their captions."""

from collections.abc import Sequence

import numpy as np

from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.errors import SourceError
from itr_core.metrics.recall import retrieval_metrics
from itr_core.metrics.similarity import CosineSimilarity


def score(encoder: DualEncoder, images: np.ndarray, captions: Sequence[Sequence[str]]) -> dict[str, float]:
    """`retrieval_metrics` of embedded images (n, d), unit norm, and the captions of each.

    Raises SourceError when there is no caption at all.
    """
    image_of_caption = np.repeat(np.arange(len(captions)), [len(texts) for texts in captions])
    if not len(image_of_caption):
        raise SourceError("There is no image with a caption, so nothing to measure recall with.")
    texts = encoder.encode_texts([text for texts in captions for text in texts])
    return retrieval_metrics(CosineSimilarity(images, texts), image_of_caption)
