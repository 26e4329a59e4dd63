"""Embeddings shipped with a starter model: equal to the model's own, and never used with other weights."""

from pathlib import Path

import numpy as np
import pytest

from itr_core import DualEncoder, Gallery, PairSet, load_encoder, load_pairs
from itr_core.encoders import starter_embeddings
from itr_core.encoders.starter_embeddings import FILE, StarterEmbeddings, write_embeddings
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
    write_embeddings(encoder, few, folder)
    return StarterEmbeddings.read(folder / FILE)


def test_known_embeddings_equal_those_of_the_model(
    few: PairSet, encoder: DualEncoder, shipped: StarterEmbeddings
) -> None:
    images = [few.image(row) for row in range(len(few))]
    texts = few.flat_captions()[0]
    for found, expected in (
        ([shipped.image(image) for image in images], encoder.encode_images(images)),
        ([shipped.text(text) for text in texts], encoder.encode_texts(texts)),
    ):
        vectors = np.array([vector for vector in found if vector is not None])
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, expected, atol=1e-3)  # stored in half precision
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_an_image_with_one_changed_pixel_and_another_text_are_unknown(
    few: PairSet, shipped: StarterEmbeddings
) -> None:
    image = few.image(0)
    assert shipped.image(image) is not None
    image.putpixel((0, 0), (1, 2, 3))
    assert shipped.image(image) is None
    assert shipped.text(few.captions[0][0] + ".") is None


def test_a_gallery_of_known_and_unknown_images_equals_an_encoded_one(
    encoder: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = load_pairs("picturebook:gallery", limit=9)
    (tmp_path / "infonce").mkdir()
    write_embeddings(encoder, pairs.select([1, 2, 5, 8]), tmp_path / "infonce")
    monkeypatch.setattr(starter_embeddings, "STARTERS", tmp_path)
    mixed = Gallery.build(pairs, encoder, tmp_path / "mixed")
    (tmp_path / "infonce" / FILE).unlink()
    encoded = Gallery.build(pairs, encoder, tmp_path / "encoded")
    assert mixed.items.equals(encoded.items)
    np.testing.assert_allclose(mixed.image_embeddings, encoded.image_embeddings, atol=1e-3)
    np.testing.assert_allclose(mixed.text_embeddings, encoded.text_embeddings, atol=1e-3)
    unknown = [0, 3, 4, 6, 7]
    np.testing.assert_array_equal(
        mixed.image_embeddings[unknown], encoder.encode_images(pairs.image(row) for row in unknown)
    )


def test_a_gallery_of_known_images_is_built_without_the_model(
    few: PairSet, encoder: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    monkeypatch.setattr(encoder, "text_tower", lambda ids: pytest.fail("a caption was encoded"))
    monkeypatch.setattr(encoder.model, "encode_image", lambda *_, **__: encoded.append(1))
    gallery = Gallery.build(few, encoder, tmp_path / "gallery")
    assert len(gallery) == 6
    assert encoded == []


def test_the_shipped_file_contains_the_whole_demo_gallery(encoder: DualEncoder) -> None:
    """If images, captions or weights have changed, run `python benchmarks/starter.py remember`."""
    shipped = StarterEmbeddings.of(encoder)
    pairs = load_pairs("picturebook:gallery")
    assert len(shipped) == len(pairs)
    assert all(shipped.image(pairs.image(row)) is not None for row in range(0, len(pairs), 40))
    assert all(shipped.text(text) is not None for text in pairs.flat_captions()[0])


def test_other_weights_and_other_models_have_no_shipped_embeddings(
    few: PairSet, encoder: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = load_encoder("picturebook-vit/none", device="cpu")
    assert len(StarterEmbeddings.of(fresh)) == 0
    with pytest.raises(ModelError, match="no starter model"):
        write_embeddings(fresh, few, tmp_path)
    (tmp_path / "infonce").mkdir()
    monkeypatch.setitem(encoder.__dict__, "fingerprint", "of another training")
    write_embeddings(encoder, few, tmp_path / "infonce")
    monkeypatch.undo()
    monkeypatch.setattr(starter_embeddings, "STARTERS", tmp_path)
    shipped = StarterEmbeddings.of(encoder)
    assert shipped.image(few.image(0)) is None
    assert shipped.text(few.captions[0][0]) is None
