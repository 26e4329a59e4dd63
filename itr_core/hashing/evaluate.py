"""The second stage of CRCGS: binary codes of images and captions, ranked by Hamming distance."""

from typing import Any

import numpy as np

from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.errors import SourceError
from itr_core.features.image_rows import DecodedImages, embed_source, encode_rows
from itr_core.hashing.codes import STRUCTURE, train_codes
from itr_core.metrics import CosineSimilarity, label_map
from itr_core.metrics.similarity import HammingSimilarity
from itr_core.pairs import PairSet
from itr_core.supervision.labels import best_kind, label_matrix
from itr_core.system.provenance import code_version

MOST_QUERIES = 2000
"""As on MIRFLICKR-25K."""


def evaluate_codes(
    encoder: DualEncoder,
    pairs: PairSet,
    *,
    bits: int = 32,
    labels: str = "auto",
    structure: float = STRUCTURE,
    seed: int = 0,
) -> dict[str, Any]:
    """Train codes on a source and measure how well they find what shares a label, beside the full embeddings.

    A fifth of the images, at most 2,000, are drawn as queries with all their captions; the rest is the
    database, and what the codes are trained on. Each caption is an item (a query) of its own, with the labels
    of its image.

    Args:
        encoder: any dual encoder.
        pairs: images that have no caption or cannot be decoded are left out; the latter are named.
        bits: length of the code, a multiple of 8.
        labels: a kind of `label_matrix`.
        structure: see `train_codes`; 1 as in the paper.
        seed: of the draw, the clusters and the training.

    Returns:
        `codes` and `embeddings`: each {"t2i", "i2t"} -> the keys of `itr_core.metrics.label_map`; and
        `model`, `source`, `labels` (their kind), `n_labels`, `bits`, `structure`, `n_query_images`,
        `n_database_images`, `model_sha256`, `source_sha256`, `code_version`, `skipped`.

    Raises:
        PairscopeError: a wrong number of bits; a source with no such labels or fewer than two usable images.
    """
    images = DecodedImages(pairs, encoder)
    captioned = np.flatnonzero([bool(texts) for texts in pairs.captions])
    if len(captioned) < 2:
        raise SourceError(f"{pairs.source}: {len(captioned)} images have captions; a search needs two.")
    kind = best_kind(pairs) if labels == "auto" else labels
    names, has = label_matrix(pairs, kind, lambda: embed_source(encoder, pairs, images), seed=seed)
    vectors, usable = encode_rows(encoder, images, captioned)
    if len(usable) < 2:
        raise SourceError(f"{pairs.source}: {len(usable)} images can be decoded; a search needs two.")
    asking = np.random.default_rng(seed).permutation(len(usable)) < min(MOST_QUERIES, -(-len(usable) // 5))
    flat = [text for row in usable for text in pairs.captions[row]]
    image_of_caption = np.repeat(np.arange(len(usable)), [len(pairs.captions[row]) for row in usable])
    texts, has = encoder.encode_texts(flat), has[usable]

    stored = ~asking[image_of_caption]
    known = vectors[image_of_caption[stored]], texts[stored], has[image_of_caption[stored]]
    head = train_codes(*known, bits, seed=seed, structure=structure)
    figures = {
        name: {
            "t2i": label_map(rows(t[~stored], v[~asking]), has[image_of_caption[~stored]], has[~asking]),
            "i2t": label_map(rows(v[asking], t[stored]), has[asking], has[image_of_caption[stored]]),
        }
        for name, rows, v, t in (
            ("codes", HammingSimilarity, head.codes(vectors), head.codes(texts)),
            ("embeddings", CosineSimilarity, vectors, texts),
        )
    }
    return figures | {
        "model": encoder.spec,
        "source": pairs.source,
        "labels": kind,
        "n_labels": len(names),
        "bits": bits,
        "structure": structure,
        "n_query_images": int(asking.sum()),
        "n_database_images": int((~asking).sum()),
        "model_sha256": encoder.fingerprint,
        "source_sha256": pairs.fingerprint,
        "code_version": code_version(),
        "skipped": [f"{name}: {reason}" for name, reason in pairs.skipped] + [*images.unusable.values()],
    }
