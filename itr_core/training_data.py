"""A training run's sources, opened: pairs, images in the form the run wants, and which of them are of use."""

import numpy as np

from itr_core.encoder import DualEncoder
from itr_core.errors import SourceError
from itr_core.pairs import PairSet, load_pairs
from itr_core.train_config import TrainConfig
from itr_core.training_images import (
    DecodedImages,
    ImageRows,
    cached_features,
    cached_pixels,
    features_from_file,
)


def open_pairs(config: TrainConfig, spec: str, limit: int | None = None) -> PairSet:
    """Load a source the way the run's settings say."""
    return load_pairs(spec, columns=config.columns, image_root=config.image_root, limit=limit)


def open_images(
    config: TrainConfig, pairs: PairSet, features: str | None, encoder: DualEncoder, progress: bool
) -> ImageRows:
    """Return pixels (`features` None), trunk features ('cache') or those of a file (FILE.safetensors:KEY)."""
    if features is None and not config.cache_images:
        return DecodedImages(pairs, encoder)
    if features is None:
        return cached_pixels(pairs, encoder, workers=config.workers, progress=progress)
    if features == "cache":
        return cached_features(pairs, encoder, workers=config.workers, progress=progress)
    return features_from_file(features, len(pairs))


def usable_rows(pairs: PairSet, images: ImageRows) -> np.ndarray:
    """Return the rows with a caption and, as far as is known, an image; raise SourceError if none has."""
    rows = [row for row, texts in enumerate(pairs.captions) if texts and row not in images.unusable]
    if not rows:
        raise SourceError(
            f"{pairs.source} has no image with a caption to learn from: {len(pairs)} images, "
            f"{sum(map(bool, pairs.captions))} with captions, {len(images.unusable)} undecodable."
        )
    return np.array(rows)
