"""Evaluation of binary codes, ranked by Hamming distance, next to the embeddings they come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.errors import SourceError
from itr_core.features.image_rows import ImageRows, embed_source, encode_rows, images_of_source
from itr_core.hashing.codes import STRUCTURE, BinaryHead, check_code_options, train_codes
from itr_core.metrics import CosineSimilarity, label_map
from itr_core.metrics.similarity import HammingSimilarity
from itr_core.pairs import PairSet
from itr_core.supervision.labels import best_kind, label_matrix, source_labels
from itr_core.system.provenance import code_version

MAX_QUERIES = 2000
"""Maximum number of query images, as on MIRFLICKR-25K."""


def evaluate_codes(
    encoder: DualEncoder,
    pairs: PairSet,
    *,
    queries: PairSet | None = None,
    database: PairSet | None = None,
    bits: int | Sequence[int] = 32,
    labels: str = "auto",
    structure: float = STRUCTURE,
    seed: int = 0,
) -> dict[str, Any]:
    """Train codes on a source and measure label mAP of the codes and of the embeddings.

    Without `queries` and `database`, a fifth of the images, at most 2,000, are drawn as queries with all
    their captions. The rest is the database and the training set of the codes. Each caption is a separate
    item or query, with the labels of its image. The window of `map@n_query` is the number of query images in
    both directions, however many captions they have.

    Args:
        encoder: any dual encoder.
        pairs: images without captions are skipped, as are undecodable images, which are reported.
        queries: query images, on which nothing is trained; given together with `database`. The codes are
            then trained on all of `pairs`, which may be a part of the database.
        database: images that the queries search.
        bits: length of the code, a multiple of 8, or several lengths.
        labels: a kind of labels, see `label_matrix`; with `queries`, those of the sources.
        structure: see `train_codes`; 1 in the paper.
        seed: random seed of the split, the clusters and the training.

    Returns:
        `codes` and `embeddings`: each {"t2i", "i2t"} -> the keys of `itr_core.metrics.label_map`; with
        several lengths, `codes` has one such entry for each length, by its text, such as "32". Also
        `model`, `source`, `queries`, `database` (their specs or None), `labels` (their kind), `n_labels`,
        `bits`, `structure`, `n_query_images`, `n_database_images`, `model_sha256`, `source_sha256`,
        `code_version`, `skipped`.

    Raises:
        PairscopeError: a wrong number of bits or a negative weight; a source without such labels, or with
            fewer than two usable images; only one of `queries` and `database`; queries without a label of the
            database.
    """
    lengths = [bits] if isinstance(bits, int) else list(bits)
    check_code_options(lengths, structure)
    skipped = [
        f"{name}: {reason}" for each in (pairs, queries, database) if each for name, reason in each.skipped
    ]
    if queries is None and database is None:
        kind = best_kind(pairs) if labels == "auto" else labels
        images = images_of_source(pairs, encoder)
        names, has = label_matrix(pairs, kind, lambda: embed_source(encoder, pairs, images), seed=seed)
        whole = _embed(encoder, pairs, images, has, skipped)
        is_query = np.random.default_rng(seed).permutation(len(whole.images)) < min(
            MAX_QUERIES, -(-len(whole.images) // 5)
        )
        asked, stored = whole.select(is_query), whole.select(~is_query)
        training = stored
    else:
        if queries is None or database is None:
            raise SourceError("Queries and database belong together: name both sources or none.")
        if labels not in ("auto", "source"):
            raise SourceError(
                f"labels={labels!r}: with queries and a database, all sources must have labels of their own; "
                "use labels=source."
            )
        kind, sources = "source", (pairs, queries, database)
        names = sorted({name for each in sources for name in source_labels(each)[0]})
        training, asked, stored = (
            _embed(encoder, each, images_of_source(each, encoder), source_labels(each, names)[1], skipped)
            for each in sources
        )

    if not (asked.has_label.any(axis=0) & stored.has_label.any(axis=0)).any():
        raise SourceError(
            f"No query of {(queries or pairs).source} has a label of the database, so nothing is relevant; "
            "both must name their labels alike."
        )

    def measured(heads: BinaryHead | None = None) -> dict[str, dict[str, float]]:
        rows, of = (CosineSimilarity, np.asarray) if heads is None else (HammingSimilarity, heads.codes)
        n_query = len(asked.images)
        asked_v, asked_t, stored_v, stored_t = map(
            of, (asked.images, asked.texts, stored.images, stored.texts)
        )
        return {
            "t2i": label_map(rows(asked_t, stored_v), asked.of_captions, stored.has_label, n_query=n_query),
            "i2t": label_map(rows(asked_v, stored_t), asked.has_label, stored.of_captions, n_query=n_query),
        }

    codes = {
        str(length): measured(
            train_codes(
                training.images[training.image_of_caption],
                training.texts,
                training.of_captions,
                length,
                seed=seed,
                structure=structure,
            )
        )
        for length in lengths
    }
    return {
        "codes": codes[str(bits)] if isinstance(bits, int) else codes,
        "embeddings": measured(),
        "model": encoder.spec,
        "source": pairs.source,
        "queries": queries.source if queries else None,
        "database": database.source if database else None,
        "labels": kind,
        "n_labels": len(names),
        "bits": bits if isinstance(bits, int) else lengths,
        "structure": structure,
        "n_query_images": len(asked.images),
        "n_database_images": len(stored.images),
        "model_sha256": encoder.fingerprint,
        "source_sha256": pairs.fingerprint,
        "code_version": code_version(),
        "skipped": skipped,
    }


@dataclass(frozen=True)
class _Part:
    """Embedded images (n, d) and captions (m, d) with the labels of the images, (n, C) bool."""

    images: np.ndarray
    texts: np.ndarray
    image_of_caption: np.ndarray
    has_label: np.ndarray

    @property
    def of_captions(self) -> np.ndarray:
        """The labels of the captions, those of their images, (m, C) bool."""
        return self.has_label[self.image_of_caption]

    def select(self, images: np.ndarray) -> "_Part":
        """Return the part with the images of a mask (n,) and their captions."""
        captions = images[self.image_of_caption]
        places = np.cumsum(images) - 1
        return _Part(
            self.images[images],
            self.texts[captions],
            places[self.image_of_caption[captions]],
            self.has_label[images],
        )


def _embed(
    encoder: DualEncoder, pairs: PairSet, images: ImageRows, has_label: np.ndarray, skipped: list[str]
) -> _Part:
    """Embed the decodable images that have captions; the reasons of others are added to `skipped`."""
    captioned = np.flatnonzero([bool(texts) for texts in pairs.captions])
    if len(captioned) < 2:
        raise SourceError(f"{pairs.source}: {len(captioned)} images have captions; at least two are needed.")
    vectors, usable = encode_rows(encoder, images, captioned)
    skipped += images.unusable.values()
    if len(usable) < 2:
        raise SourceError(f"{pairs.source}: {len(usable)} images can be decoded; at least two are needed.")
    texts = encoder.encode_texts([text for row in usable for text in pairs.captions[row]])
    owners = np.repeat(np.arange(len(usable)), [len(pairs.captions[row]) for row in usable])
    return _Part(vectors, texts, owners, has_label[usable])
