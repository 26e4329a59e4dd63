"""What the comparison of methods measures of a model, query by query."""

from pathlib import Path

import numpy as np
from results import Column

from itr_core import PairSet, load_encoder
from itr_core.features.image_rows import cached_features, encode_rows, features_from_file
from itr_core.hashing.codes import train_codes
from itr_core.metrics import CUTOFFS, precision_at_r, ranks
from itr_core.metrics.precision import label_precision
from itr_core.metrics.similarity import HammingSimilarity
from itr_core.supervision.labels import label_matrix

SHORT = 8
"""Words of a short query, at most: the first length bucket of AsCL, Fig. 5."""
BITS = 32
"""Length of the binary codes, as in CRCGS."""
COLUMNS = {
    "rsum": Column(title="rSum"),
    "t2i_r1": Column(title="T2I R@1"),
    "i2t_r1": Column(title="I2T R@1"),
    "short_t2i_r10": Column(title="short T2I R@10"),
    "t2i_map_at_r": Column(title="T2I mAP@R"),
    "i2t_map_at_r": Column(title="I2T mAP@R"),
    "t2i_label_map": Column(title="T2I label mAP"),
    "i2t_label_map": Column(title="I2T label mAP"),
    "t2i_code_map": Column(title="T2I label mAP, codes"),
    "i2t_code_map": Column(title="I2T label mAP, codes"),
    "t2t_map_at_r": Column(title="T2T mAP@R"),
    "i2i_map_at_r": Column(title="I2I mAP@R"),
    "t2t_map_at_r_heads": Column(title="T2T mAP@R, heads"),
    "i2i_map_at_r_heads": Column(title="I2I mAP@R, heads"),
    "positive_distance": Column(title="positive distance", format=".3f"),
    "negative_distance": Column(title="negative distance", format=".3f"),
}
"""Metrics by their key in `measure`."""
Queries = dict[str, np.ndarray]


def measure(model: Path, pairs: PairSet, features: str | None) -> Queries:
    """Measure a checkpoint query by query.

    Args:
        model: folder of the checkpoint.
        pairs: n images with m captions.
        features: spec of stored image features, as `features_from_file` takes it; None computes them.

    Returns:
        For each metric of `COLUMNS` that the source allows, one value per image (n,) or per caption (m,), NaN
        for queries that do not count. mAP@R is by exact relevance; a T2T query has the other captions of its
        image as right answers, an I2I query the images that share a true caption with it; the metrics of
        "heads" are in the space of CUSA's uni-modal heads; binary codes are trained on four fifths of the
        images, which the other fifth searches. And `image_of_caption` (m,).
    """
    encoder = load_encoder(f"local-dir:{model}", device="cpu")
    stored = (
        features_from_file(features, pairs)
        if features
        else cached_features(pairs, encoder, workers=0, progress=False)
    )
    images, _ = encode_rows(encoder, stored, np.arange(len(pairs)))
    captions, image_of_caption = pairs.flat_captions()
    texts = encoder.encode_texts(captions)
    similarity = images @ texts.T  # (n, m)
    t2i, i2t = ranks(similarity, image_of_caption)
    short = np.array([len(caption.split()) <= SHORT for caption in captions])
    distance = np.sqrt(np.maximum(2 - 2 * similarity, 0))
    positive = distance[image_of_caption, np.arange(len(image_of_caption))]
    hits = sum(100.0 * (t2i <= k) for k in CUTOFFS)
    hits_per_image = np.bincount(image_of_caption, hits) / np.bincount(image_of_caption)
    measured = {
        "rsum": sum(100.0 * (i2t <= k) for k in CUTOFFS) + hits_per_image,
        "t2i_r1": 100.0 * (t2i <= 1),
        "i2t_r1": 100.0 * (i2t <= 1),
        "short_t2i_r10": np.where(short, 100.0 * (t2i <= 10), np.nan),
        "positive_distance": positive,
        "negative_distance": (distance.sum(0) - positive) / (len(images) - 1),
    }
    relevant = pairs.relevance.matrix() if pairs.relevance else None
    if relevant is not None:
        measured["t2i_map_at_r"] = 100 * precision_at_r(similarity.T, relevant.T)[0]
        measured["i2t_map_at_r"] = 100 * precision_at_r(similarity, relevant)[0]
    if pairs.labels is not None:
        _, has = label_matrix(pairs, "source", lambda: (images, images), seed=0)
        of_captions = has[image_of_caption]
        measured["t2i_label_map"] = 100 * label_precision(similarity.T, of_captions, has)["map@all"]
        measured["i2t_label_map"] = 100 * label_precision(similarity, has, of_captions)["map@all"]
        measured |= _code_precision(images, texts, image_of_caption, has)
    same_image = image_of_caption[:, None] == image_of_caption
    share_a_caption = (
        None
        if relevant is None
        else np.logical_or.reduceat(relevant.T, np.searchsorted(image_of_caption, range(len(pairs))))
    )
    spaces = [("", texts, images)]
    if (heads := encoder.heads.uni_modal) is not None:
        spaces.append(("_heads", heads.texts(texts), heads.images(images)))
    for space, own_texts, own_images in spaces:
        measured[f"t2t_map_at_r{space}"] = _uni_modal_precision(own_texts, same_image)
        if share_a_caption is not None:
            measured[f"i2i_map_at_r{space}"] = _uni_modal_precision(own_images, share_a_caption)
    return measured | {"image_of_caption": image_of_caption}


def _code_precision(
    images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray, has_label: np.ndarray
) -> Queries:
    """Return the AP in percent of binary codes over labels, NaN for images and captions that are no queries.

    Args:
        images: (n, d) unit vectors; every fifth image and its captions are queries.
        texts: (m, d) unit vectors.
        image_of_caption: (m,).
        has_label: (n, C) bool.
    """
    asked = np.arange(len(images)) % 5 == 0
    asked_texts, of_captions = asked[image_of_caption], has_label[image_of_caption]
    stored = ~asked_texts
    head = train_codes(images[image_of_caption[stored]], texts[stored], of_captions[stored], BITS, seed=0)
    of_images, of_texts = head.codes(images), head.codes(texts)
    found = {"t2i_code_map": np.full(len(texts), np.nan), "i2t_code_map": np.full(len(images), np.nan)}
    found["t2i_code_map"][asked_texts] = label_precision(
        HammingSimilarity(of_texts[asked_texts], of_images[~asked]),
        of_captions[asked_texts],
        has_label[~asked],
    )["map@all"]
    found["i2t_code_map"][asked] = label_precision(
        HammingSimilarity(of_images[asked], of_texts[stored]), has_label[asked], of_captions[stored]
    )["map@all"]
    return {name: 100 * values for name, values in found.items()}


def _uni_modal_precision(units: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the AP@R in percent of each unit vector (n, d) among the others, given the right ones (n, n)."""
    similarity = units @ units.T
    np.fill_diagonal(similarity, -np.inf)
    return 100 * precision_at_r(similarity, right & ~np.eye(len(units), dtype=bool))[0]
