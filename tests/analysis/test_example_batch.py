"""The example batch has the cosines of its gallery, no accidental match, and a false negative."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.example_batch import HARD, PAIRS, example_batch
from analysis.ground_truth import truth_of
from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.pairs import load_pairs


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    folder = tmp_path_factory.mktemp("gallery") / "drawn"
    return Gallery.build(load_pairs("picturebook:gallery@120"), load_encoder("starter:infonce"), folder)


def test_only_the_false_negative_is_a_second_true_match(gallery: Gallery) -> None:
    batch = example_batch(gallery)
    truth = truth_of(gallery)
    assert truth is not None
    expected = np.eye(PAIRS + 1, dtype=bool)
    expected[0, -1] = expected[-1, 0] = True
    assert batch.twin == "scene"
    assert np.array_equal(truth.matrix(batch.images)[:, batch.captions], expected)


def test_cosines_are_those_of_images_and_captions(gallery: Gallery) -> None:
    batch = example_batch(gallery)
    expected = gallery.image_embeddings[batch.images] @ gallery.text_embeddings[batch.captions].T
    assert np.allclose(batch.cosines, expected, atol=1e-6)
    assert np.array_equal(gallery.image_of_caption[batch.captions], batch.images)


def test_hard_negatives_are_nearer_to_the_first_caption_than_the_others(gallery: Gallery) -> None:
    similarity = example_batch(gallery).cosines[:PAIRS, 0]
    assert similarity[1 : 1 + HARD].min() > similarity[1 + HARD :].max()


def test_photos_get_a_second_caption_of_the_same_picture_as_false_negative(tmp_path: Path) -> None:
    for number in range(PAIRS + 2):
        Image.new("RGB", (32, 32), (20 * number, 90, 200 - 20 * number)).save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text(f"a square of colour {number}\nplain colour {number}")
    pairs, encoder = load_pairs(f"folder:{tmp_path}"), load_encoder("starter:infonce")
    batch = example_batch(Gallery.build(pairs, encoder, tmp_path / "gallery"))
    assert batch.twin == "caption"
    assert batch.images[-1] == batch.images[0]
    assert batch.captions[-1] != batch.captions[0]


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    pairs, encoder = load_pairs("picturebook:gallery@5"), load_encoder("starter:infonce")
    with pytest.raises(GalleryError, match="needs 8 pictures with captions; 5 are there"):
        example_batch(Gallery.build(pairs, encoder, tmp_path / "gallery"))
