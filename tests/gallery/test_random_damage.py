"""Bits of a gallery that flip at random are detected, or change nothing."""

import random
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.gallery_analysis import GalleryAnalysis
from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.pairs import load_pairs

FLIPS = 300


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a gallery of six captioned photos, with tokens and with results of its analysis."""
    photos = tmp_path_factory.mktemp("photos")
    for number in range(6):
        Image.new("RGB", (32, 32), (40 * number, 0, 0)).save(photos / f"{number}.png")
        (photos / f"{number}.txt").write_text(f"shade {number}")
    folder = tmp_path_factory.mktemp("galleries") / "g"
    Gallery.build(load_pairs(str(photos)), load_encoder("picturebook-vit/none"), folder, tokens=True)
    results(folder)
    return folder


def results(folder: Path) -> list[pd.DataFrame | np.ndarray]:
    """Return what a gallery holds and what is computed from it. Damaged results are computed again."""
    gallery = Gallery.open(folder)
    analysis = GalleryAnalysis(gallery)
    thumbnails = [np.asarray(Image.open(gallery.thumbnail(each))) for each in gallery.items["image_id"]]
    return [
        gallery.items, gallery.image_embeddings, gallery.text_embeddings, *thumbnails,
        analysis.metrics(), analysis.misses(),
    ]  # fmt: skip


def test_a_flipped_bit_is_detected_or_changes_nothing(built: Path, tmp_path: Path) -> None:
    expected = results(built)
    files = sorted(path.relative_to(built) for path in built.rglob("*") if path.is_file())
    choice = random.Random(0)
    detected = 0
    for number in range(FLIPS):
        name = files[number % len(files)]
        copy = tmp_path / str(number)
        shutil.copytree(built, copy)
        content = bytearray((built / name).read_bytes())
        position, bit = choice.randrange(len(content)), choice.randrange(8)
        content[position] ^= 1 << bit
        (copy / name).write_bytes(content)
        try:
            found = results(copy)
        except GalleryError as error:
            assert name.name in str(error)  # noqa: PT017 - either outcome is right
            detected += 1
        else:
            for one, other in zip(found, expected, strict=True):
                assert_equal(one, other)
        shutil.rmtree(copy)
    assert detected > FLIPS // 2


def assert_equal(one: pd.DataFrame | np.ndarray, other: pd.DataFrame | np.ndarray) -> None:
    """Fail unless two tables or arrays are equal."""
    if isinstance(one, pd.DataFrame):
        assert isinstance(other, pd.DataFrame)
        pd.testing.assert_frame_equal(one, other)
    else:
        np.testing.assert_array_equal(one, other)
