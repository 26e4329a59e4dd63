"""Retrieval by the hierarchical similarity of AsCL: of all pairs, or of the best candidates by cosine."""

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
from PIL import Image

from itr_core.encoders.encoder import Encoder, Floats
from itr_core.encoders.reranking import hierarchical_similarity, on_disk, reranked_ranks
from itr_core.errors import ModelError
from itr_core.evaluation.embedded import Embedded
from itr_core.metrics import ranks
from itr_core.metrics.samples import MetricSamples, recalls

BATCH_IMAGES, BATCH_TEXTS = 64, 1024
"""Images and texts whose tokens are in memory at a time."""


def hierarchical(source: Embedded) -> list[MetricSamples]:
    """Only the given pairs are relevant; each query ranks the whole source by S of AsCL.

    S = u1 S_local + (1 - u1) cosine of all images and captions, see `hierarchical_similarity`. The time grows
    with the number of pairs.

    Raises:
        ModelError: the source was embedded without tokens.
    """
    if source.tokens is None:
        raise ModelError("The protocol hierarchical needs the tokens of images and captions.")
    patches, words, mask, local, device = source.tokens
    similarity = hierarchical_similarity(
        (source.images, patches), (source.texts, words, mask), local, device=device
    )
    return recalls("hierarchical", *ranks(similarity, source.image_of_caption), source.image_of_caption)


def reranked(source: Embedded) -> list[MetricSamples]:
    """Compute `standard` after every query has re-ranked its 100 best candidates by cosine by S of AsCL."""
    assert source.tokens is not None
    patches, words, mask, local, _ = source.tokens
    image_of_caption = source.image_of_caption
    t2i, i2t = reranked_ranks((source.images, patches), (source.texts, words, mask), image_of_caption, local)
    return recalls("reranked", t2i, i2t, image_of_caption)


def image_tokens(encoder: Encoder, images: Iterable[Image.Image], most: int) -> tuple[Floats, np.ndarray]:
    """Encode n images, at most `most`: embeddings (n, d), and patch tokens (n, P, d) in a temporary file."""
    remaining, embeddings, n = iter(images), [], 0
    patches = np.zeros((0, 0, 0), np.float32)
    while batch := list(islice(remaining, BATCH_IMAGES)):
        pooled, found = encoder.encode_images(batch, tokens=True)
        if not n:
            patches = on_disk((most, *found.shape[1:]))
        patches[n : n + len(batch)] = found
        embeddings.append(pooled)
        n += len(batch)
    pooled = np.concatenate(embeddings) if embeddings else np.zeros((0, encoder.dim), np.float32)
    return pooled, patches[:n]


def text_tokens(encoder: Encoder, texts: Sequence[str]) -> tuple[Floats, np.ndarray, np.ndarray]:
    """Encode m texts: embeddings (m, d), word tokens (m, L, d) in a temporary file, and their mask (m, L)."""
    parts = []
    for start in range(0, len(texts), BATCH_TEXTS):
        pooled, found, mask = encoder.encode_texts(texts[start : start + BATCH_TEXTS], tokens=True)
        stored = on_disk(found.shape)
        stored[:] = found
        parts.append((pooled, stored, mask))
    longest = max(mask.shape[1] for *_, mask in parts)
    words = on_disk((len(texts), longest, parts[0][1].shape[2]))
    at_words = np.zeros((len(texts), longest), bool)
    for number, (_, found, mask) in enumerate(parts):
        rows = slice(number * BATCH_TEXTS, (number + 1) * BATCH_TEXTS)
        words[rows, : found.shape[1]], at_words[rows, : mask.shape[1]] = found, mask
    return np.concatenate([pooled for pooled, *_ in parts]), words, at_words
