"""Three models of 40 pictures of Picturebook; two of them differ in the seed of their noise only."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.gallery_analysis import GalleryAnalysis
from itr_core.gallery import Gallery
from itr_core.gallery.manifest import Manifest, stamps
from itr_core.pairs import PairSet, load_pairs

N, DIM = 40, 12


@pytest.fixture(scope="session")
def pictures() -> PairSet:
    return load_pairs(f"picturebook:test@{N}")


@pytest.fixture(scope="session")
def analyses(pictures: PairSet, tmp_path_factory: pytest.TempPathFactory) -> list[GalleryAnalysis]:
    folder = tmp_path_factory.mktemp("models")
    return [
        GalleryAnalysis(_write(folder / str(seed), pictures, seed, noise))
        for seed, noise in ((1, 0.6), (2, 0.6), (3, 1.6))
    ]


def _write(folder: Path, pairs: PairSet, seed: int, noise: float) -> Gallery:
    random = np.random.default_rng(seed)
    images = np.random.default_rng(0).normal(size=(N, DIM))
    texts = images[pairs.flat_captions()[1]]
    texts = texts + noise * random.normal(size=texts.shape)
    (folder / "thumbnails").mkdir(parents=True)
    for name, x in (("image_embeddings.npy", images), ("text_embeddings.npy", texts)):
        np.save(folder / name, (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32))
    thumbnails = [f"thumbnails/{row}.webp" for row in range(N)]
    for name in thumbnails:
        Image.new("RGB", (8, 8)).save(folder / name)
    items = {"image_id": pairs.image_ids, "captions": pairs.captions, "thumbnail": thumbnails}
    pd.DataFrame(items).to_parquet(folder / "items.parquet")
    Manifest(
        source=pairs.source, source_fingerprint=pairs.fingerprint, model=f"model {seed}",
        model_fingerprint=str(seed), dim=DIM, images=N, captions=len(texts), skipped=[],
        created=datetime.now(UTC),
        files=stamps(folder, ["image_embeddings.npy", "text_embeddings.npy", "items.parquet", *thumbnails]),
    ).write(folder)  # fmt: skip
    return Gallery.open(folder)
