"""Embeddings that come with a starter: the same gallery, sooner, and never those of other weights."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from itr_core import DualEncoder, Gallery, PairSet, load_encoder, load_pairs
from itr_core.encoders import starter_embeddings
from itr_core.encoders.starter_embeddings import StarterEmbeddings, write
from itr_core.errors import ModelError


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return load_encoder("starter:infonce", device="cpu")


@pytest.fixture(scope="module")
def few() -> PairSet:
    return load_pairs("picturebook:gallery", limit=6)


@pytest.fixture(scope="module")
def shipped(
    few: PairSet, encoder: DualEncoder, tmp_path_factory: pytest.TempPathFactory
) -> StarterEmbeddings:
    folder = tmp_path_factory.mktemp("starter")
    write(encoder, few, folder)
    return StarterEmbeddings(encoder, folder / starter_embeddings.FILE)


def test_what_is_remembered_is_what_the_model_says(
    few: PairSet, encoder: DualEncoder, shipped: StarterEmbeddings
) -> None:
    images = [few.image(row) for row in range(len(few))]
    stranger = Image.radial_gradient("L")
    prepared = [shipped.prepare(image) for image in [*images[:3], stranger, *images[3:]]]
    assert [each.ndim for each in prepared] == [1, 1, 1, 3, 1, 1, 1]  # only the stranger needs its pixels
    expected = encoder.encode_images([*images[:3], stranger, *images[3:]])
    found = shipped.encode_images(iter(prepared))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    texts = ["words nobody wrote", *few.captions[2], "nor these"]
    np.testing.assert_allclose(shipped.encode_texts(texts), encoder.encode_texts(texts), atol=1e-3)
    assert shipped.encode_texts([]).shape == (0, encoder.dim)


def test_a_picture_drawn_otherwise_is_encoded_anew(few: PairSet, shipped: StarterEmbeddings) -> None:
    image = few.image(0)
    image.putpixel((0, 0), (1, 2, 3))
    assert shipped.prepare(image).ndim == 3


def test_a_gallery_is_the_same_either_way(
    few: PairSet, encoder: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sooner = Gallery.build(few, encoder, tmp_path / "sooner")
    monkeypatch.setattr(starter_embeddings, "STARTERS", tmp_path)
    later = Gallery.build(few, encoder, tmp_path / "later")
    assert sooner.items.equals(later.items)
    np.testing.assert_allclose(sooner.image_embeddings, later.image_embeddings, atol=1e-3)
    np.testing.assert_allclose(sooner.text_embeddings, later.text_embeddings, atol=1e-3)


def test_the_shipped_file_knows_the_whole_gallery_of_this_world_and_model(encoder: DualEncoder) -> None:
    """If this fails, pictures, captions or weights have changed: `python benchmarks/starter.py embed-gallery`."""
    known = starter_embeddings.with_starter_embeddings(encoder)
    assert isinstance(known, StarterEmbeddings)
    pairs = load_pairs("picturebook:gallery")
    assert all(known.prepare(pairs.image(row)).ndim == 1 for row in range(0, len(pairs), 40))
    assert all(
        starter_embeddings._key(text.encode()) in known._rows["texts"] for text in pairs.flat_captions()[0]
    )


def test_other_weights_and_other_models_know_nothing(
    few: PairSet, encoder: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = load_encoder("picturebook-vit/none", device="cpu")
    assert starter_embeddings.with_starter_embeddings(fresh) is fresh
    with pytest.raises(ModelError, match="no starter model"):
        write(fresh, few, tmp_path)
    (tmp_path / "infonce").mkdir()
    monkeypatch.setitem(encoder.__dict__, "fingerprint", "of another training")
    write(encoder, few, tmp_path / "infonce")
    monkeypatch.undo()
    monkeypatch.setattr(starter_embeddings, "STARTERS", tmp_path)
    assert starter_embeddings.with_starter_embeddings(encoder) is encoder
