"""Three models of 40 pictures of Picturebook; two of them differ in the seed of their noise only."""

from pathlib import Path

import numpy as np
import pytest

from analysis.gallery_analysis import GalleryAnalysis
from itr_core.gallery import Gallery
from itr_core.pairs import PairSet, load_pairs
from tests.galleries import unit, write_gallery

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
    return write_gallery(
        folder, unit(images), unit(texts), pairs.image_ids, pairs.captions,
        source=pairs.source, fingerprint=pairs.fingerprint, model=f"model {seed}",
    )  # fmt: skip
