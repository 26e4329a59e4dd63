"""The demo gallery that is shipped: almost what a build would write, and used in place of no other one."""

import errno
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from itr_core import DualEncoder, Gallery, PairSet, load_encoder, load_pairs
from itr_core.errors import WriteError
from itr_core.gallery.shipped import unpack_shipped


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return load_encoder("starter:infonce", device="cpu")


@pytest.fixture(scope="module")
def pairs() -> PairSet:
    return load_pairs("picturebook:gallery")


@pytest.fixture(scope="module")
def shipped(pairs: PairSet, encoder: DualEncoder, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """The shipped gallery; if it is not there, run `python benchmarks/starter.py pack-gallery`."""
    folder = tmp_path_factory.mktemp("shipped") / "gallery"
    unpack_shipped(pairs, encoder, folder)
    return Gallery.open(folder)


def test_it_has_all_images_and_captions_of_the_demo_gallery(shipped: Gallery, pairs: PairSet) -> None:
    assert shipped.column("image_id") == list(pairs.image_ids)
    assert shipped.column("captions") == [list(each) for each in pairs.captions]
    assert shipped.manifest.skipped == []


def test_its_embeddings_are_those_of_the_model(
    shipped: Gallery, pairs: PairSet, encoder: DualEncoder
) -> None:
    rows = range(0, len(pairs), 250)
    images = encoder.encode_images([pairs.image(row) for row in rows])
    texts = encoder.encode_texts([pairs.captions[row][0] for row in rows])
    of_row = np.searchsorted(shipped.image_of_caption, rows)
    np.testing.assert_allclose(shipped.image_embeddings[rows], images, atol=1e-4)
    np.testing.assert_allclose(shipped.text_embeddings[of_row], texts, atol=1e-4)
    np.testing.assert_allclose(
        shipped.text_embeddings[of_row] @ shipped.image_embeddings[rows].T, texts @ images.T, atol=1e-4
    )


def test_its_thumbnails_are_the_drawings(shipped: Gallery, pairs: PairSet) -> None:
    for row in range(0, len(pairs), 100):
        drawn = np.asarray(pairs.image(row).convert("RGB"), np.float32)
        shown = np.asarray(shipped.decoded_thumbnail(row).convert("RGB"), np.float32)
        assert shown.shape == drawn.shape
        assert np.abs(shown - drawn).mean() < 4  # of 255; another drawing differs by 20 and more


def test_another_source_and_other_weights_get_nothing(
    pairs: PairSet, encoder: DualEncoder, tmp_path: Path
) -> None:
    unpack_shipped(load_pairs("picturebook:gallery", limit=6), encoder, tmp_path / "gallery")
    unpack_shipped(pairs, load_encoder("picturebook-vit/none", device="cpu"), tmp_path / "gallery")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_of_a_gallery(
    pairs: PairSet, encoder: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(archive: ZipFile, folder: Path) -> None:
        archive.extract("manifest.json", folder)
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "items.parquet"))

    monkeypatch.setattr(ZipFile, "extractall", refuse)
    with pytest.raises(WriteError, match="No space left"):
        unpack_shipped(pairs, encoder, tmp_path / "gallery")
    assert not (tmp_path / "gallery").exists()
