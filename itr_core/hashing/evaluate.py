"""Evaluation of binary codes, ranked by Hamming distance, next to the embeddings they come from."""

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

MAX_QUERIES = 2000
"""Maximum number of query images, as on MIRFLICKR-25K."""


def evaluate_codes(
    encoder: DualEncoder,
    pairs: PairSet,
    *,
    bits: int = 32,
    labels: str = "auto",
    structure: float = STRUCTURE,
    seed: int = 0,
) -> dict[str, Any]:
    """Train codes on a source and measure label mAP of the codes and of the embeddings.

    A fifth of the images, at most 2,000, are drawn as queries with all their captions. The rest is the
    database and the training set of the codes. Each caption is a separate item or query, with the labels of
    its image.

    Args:
        encoder: any dual encoder.
        pairs: images without captions are skipped, as are undecodable images, which are reported.
        bits: length of the code, a multiple of 8.
        labels: a kind of labels, see `label_matrix`.
        structure: see `train_codes`; 1 in the paper.
        seed: random seed of the split, the clusters and the training.

    Returns:
        `codes` and `embeddings`: each {"t2i", "i2t"} -> the keys of `itr_core.metrics.label_map`; and
        `model`, `source`, `labels` (their kind), `n_labels`, `bits`, `structure`, `n_query_images`,
        `n_database_images`, `model_sha256`, `source_sha256`, `code_version`, `skipped`.

    Raises:
        PairscopeError: a wrong number of bits; a source without such labels, or with fewer than two usable
            images.
    """
    images = DecodedImages(pairs, encoder)
    captioned = np.flatnonzero([bool(texts) for texts in pairs.captions])
    if len(captioned) < 2:
        raise SourceError(f"{pairs.source}: {len(captioned)} images have captions; at least two are needed.")
    kind = best_kind(pairs) if labels == "auto" else labels
    names, has = label_matrix(pairs, kind, lambda: embed_source(encoder, pairs, images), seed=seed)
    vectors, usable = encode_rows(encoder, images, captioned)
    if len(usable) < 2:
        raise SourceError(f"{pairs.source}: {len(usable)} images can be decoded; at least two are needed.")
    is_query = np.random.default_rng(seed).permutation(len(usable)) < min(MAX_QUERIES, -(-len(usable) // 5))
    flat = [text for row in usable for text in pairs.captions[row]]
    image_of_caption = np.repeat(np.arange(len(usable)), [len(pairs.captions[row]) for row in usable])
    texts, has = encoder.encode_texts(flat), has[usable]

    stored = ~is_query[image_of_caption]
    owners = image_of_caption[stored]
    head = train_codes(vectors[owners], texts[stored], has[owners], bits, seed=seed, structure=structure)
    results = {
        name: {
            "t2i": label_map(rows(t[~stored], v[~is_query]), has[image_of_caption[~stored]], has[~is_query]),
            "i2t": label_map(rows(v[is_query], t[stored]), has[is_query], has[image_of_caption[stored]]),
        }
        for name, rows, v, t in (
            ("codes", HammingSimilarity, head.codes(vectors), head.codes(texts)),
            ("embeddings", CosineSimilarity, vectors, texts),
        )
    }
    return results | {
        "model": encoder.spec,
        "source": pairs.source,
        "labels": kind,
        "n_labels": len(names),
        "bits": bits,
        "structure": structure,
        "n_query_images": int(is_query.sum()),
        "n_database_images": int((~is_query).sum()),
        "model_sha256": encoder.fingerprint,
        "source_sha256": pairs.fingerprint,
        "code_version": code_version(),
        "skipped": [f"{name}: {reason}" for name, reason in pairs.skipped] + [*images.unusable.values()],
    }
