"""What methods.py measures of a model, query by query."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from itr_core import PairSet, load_encoder
from itr_core.features.image_rows import cached_features, encode_rows, features_from_file
from itr_core.metrics import CUTOFFS, precision_at_r, ranks
from itr_core.metrics.precision import label_precision
from itr_core.supervision.labels import label_matrix

SHORT = 8
"""Words of a short query: the first length bucket of Fig. 5 of AsCL."""


def measure(model: Path, pairs: PairSet, features: str | None) -> dict[str, np.ndarray]:
    """Columns of the tables, query by query: (n,) for images or (m,) for captions, NaN for what is none.

    `image_of_caption` is the row of each caption's image.
    """
    encoder = load_encoder(f"local-dir:{model}", device="cpu")
    stored = (
        features_from_file(features, len(pairs))
        if features
        else cached_features(pairs, encoder, workers=0, progress=False)
    )
    images, _ = encode_rows(encoder, stored, np.arange(len(pairs)))
    captions, image_of_caption = pairs.flat_captions()
    texts = encoder.encode_texts(captions)
    similarity = images @ texts.T
    t2i, i2t = ranks(similarity, image_of_caption)
    short = np.array([len(caption.split()) <= SHORT for caption in captions])
    distance = np.sqrt(np.maximum(2 - 2 * similarity, 0))
    positive = distance[image_of_caption, np.arange(len(image_of_caption))]
    hits = sum(100.0 * (t2i <= k) for k in CUTOFFS)
    measured = {
        "rSum": sum(100.0 * (i2t <= k) for k in CUTOFFS)
        + np.bincount(image_of_caption, hits) / np.bincount(image_of_caption),
        "T2I R@1": 100.0 * (t2i <= 1),
        "I2T R@1": 100.0 * (i2t <= 1),
        "short T2I R@10": np.where(short, 100.0 * (t2i <= 10), np.nan),
        "positive distance": positive,
        "negative distance": (distance.sum(0) - positive) / (len(images) - 1),
    }
    true = pairs.relevance.matrix() if pairs.relevance else None
    if true is not None:
        measured["T2I mAP@R"] = 100 * precision_at_r(similarity.T, true.T)[0]
        measured["I2T mAP@R"] = 100 * precision_at_r(similarity, true)[0]
    if pairs.labels is not None:
        _, has = label_matrix(pairs, "source", lambda: (images, images), seed=0)
        measured["T2I label mAP"] = 100 * label_precision(similarity.T, has[image_of_caption], has)["map@all"]
        measured["I2T label mAP"] = 100 * label_precision(similarity, has, has[image_of_caption])["map@all"]
    same = image_of_caption[:, None] == image_of_caption
    alike = (
        None
        if true is None
        else np.logical_or.reduceat(true.T, np.searchsorted(image_of_caption, range(len(pairs))))
    )
    for space, own_texts, own_images in [("", texts, images), *_of_heads(model, texts, images)]:
        measured[f"T2T mAP@R{space}"] = _like_finds_like(own_texts, same)
        if alike is not None:
            measured[f"I2I mAP@R{space}"] = _like_finds_like(own_images, alike)
    return measured | {"image_of_caption": image_of_caption}


def _of_heads(model: Path, texts: np.ndarray, images: np.ndarray) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """The same in the spaces of CUSA's heads, which are for search within one modality."""
    file = model / "heads.safetensors"
    heads = load_file(file) if file.exists() else {}
    heads = {name.removeprefix("cusa."): value for name, value in heads.items()}
    if "cross_temperature.value" not in heads:  # the heads are another method's
        return []

    def through(head: str, rows: np.ndarray) -> np.ndarray:
        gain, shift, weight, bias = (
            heads[f"{head}.{part}"] for part in ("0.weight", "0.bias", "1.weight", "1.bias")
        )
        normed = F.layer_norm(torch.from_numpy(rows) * len(gain) ** 0.5, gain.shape, gain, shift)
        return F.normalize(F.linear(normed, weight, bias), dim=-1).numpy()

    return [(" of heads", through("text_head", texts), through("image_head", images))]


def _like_finds_like(units: np.ndarray, right: np.ndarray) -> np.ndarray:
    """AP@R in percent of each unit vector (n, d) among the others, of which (n, n) are right."""
    similarity = units @ units.T
    np.fill_diagonal(similarity, -np.inf)
    return 100 * precision_at_r(similarity, right & ~np.eye(len(units), dtype=bool))[0]
