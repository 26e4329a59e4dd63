"""Galleries that tests write from embeddings, without a model."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from itr_core.gallery import Gallery
from itr_core.gallery.manifest import Manifest, stamps


def unit(x: np.ndarray) -> np.ndarray:
    """Return the rows (n, d) scaled to unit norm."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def write_gallery(
    folder: Path,
    images: np.ndarray,
    texts: np.ndarray,
    image_ids: Sequence[str],
    captions: Sequence[Sequence[str]],
    *,
    source: str = "folder:written",
    fingerprint: str = "written",
    model: str = "none",
    labels: Sequence[Sequence[str]] | None = None,
) -> Gallery:
    """Write a gallery with the given embeddings; each thumbnail is a square of another red.

    Args:
        folder: Of the gallery.
        images: (n, d) of unit norm.
        texts: (m, d) of unit norm, in the order of the captions.
        image_ids: Of the images.
        captions: Of each image.
        source: Of its manifest, with the fingerprint.
        fingerprint: See `source`.
        model: Of its manifest.
        labels: Of each image.
    """
    (folder / "thumbnails").mkdir(parents=True, exist_ok=True)
    np.save(folder / "image_embeddings.npy", images.astype(np.float32))
    np.save(folder / "text_embeddings.npy", texts.astype(np.float32))
    thumbnails = [f"thumbnails/{row}.webp" for row in range(len(images))]
    for row, name in enumerate(thumbnails):
        Image.new("RGB", (8, 8), (8 * row % 256, 0, 0)).save(folder / name)
    items = {"image_id": image_ids, "captions": captions, "thumbnail": thumbnails, "labels": labels}
    pd.DataFrame(items).to_parquet(folder / "items.parquet")
    Manifest(
        source=source, source_fingerprint=fingerprint, model=model, model_fingerprint=model,
        dim=images.shape[1], images=len(images), captions=len(texts), skipped=[], created=datetime.now(UTC),
        files=stamps(folder, ["image_embeddings.npy", "text_embeddings.npy", "items.parquet", *thumbnails]),
    ).write(folder)  # fmt: skip
    return Gallery.open(folder)
