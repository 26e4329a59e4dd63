"""Word importance and word-patch maps, for models whose scores follow by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image

from analysis.probes.word_importance import best_patches, located, word_importance, word_patch_map
from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.errors import ModelError, QueryError
from itr_core.picturebook.rendering import draw
from itr_core.picturebook.scene import box
from itr_core.picturebook.splits import scene_of


class Bag:
    """Encodes a text by whether it contains "red" and "dog"."""

    def encode_texts(self, texts: Sequence[str], /) -> np.ndarray:
        """Return (N, 2), not normalised."""
        return np.array([["red" in text.split(), "dog" in text.split()] for text in texts], np.float32)


def test_the_drop_is_the_score_lost_without_the_word() -> None:
    text = "  A red dog\tdog runs"
    table = word_importance(Bag(), text, np.array([0.6, 0.8]))
    assert table["word"].tolist() == ["A", "red", "dog", "dog", "runs"]
    assert table["drop"].tolist() == pytest.approx([0, 0.6, 0, 0, 0])  # the other "dog" remains
    spans = zip(table["start"], table["end"], strict=True)
    assert [text[start:end] for start, end in spans] == table["word"].tolist()
    assert word_importance(Bag(), "dog", np.array([0.6, 0.8]))["drop"].tolist() == pytest.approx([0.8])


@pytest.fixture(scope="module")
def encoder(configs: Path) -> DualEncoder:
    return load_encoder("tiny/none")


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_the_map_of_a_word_is_that_of_the_mean_of_its_sub_words(
    encoder: DualEncoder, picture: Image.Image
) -> None:
    text = "a hippopotamus's umbrella, red"
    words, maps = word_patch_map(encoder, picture, text)
    assert words == ["a", "hippopotamus's", "umbrella,", "red"]
    assert maps.shape == (4, 4, 4)
    assert maps.dtype == np.float32

    _, tokens, mask = encoder.encode_texts(["hippopotamus's"], tokens=True)
    _, patches = encoder.encode_images([picture], tokens=True)
    assert mask[0].sum() == len(encoder.tokenizer.encode("hippopotamus's")) > 1
    mean = _unit(tokens[0][mask[0]].mean(0))
    np.testing.assert_allclose(maps[1].ravel(), patches[0] @ mean, atol=1e-6)
    assert maps[1, 1, 3] == pytest.approx(float(mean @ patches[0][7]), abs=1e-6)  # patch 7 of 4 x 4


def test_the_map_of_a_word_does_not_depend_on_the_words_around_it(
    encoder: DualEncoder, picture: Image.Image
) -> None:
    words, maps = word_patch_map(encoder, picture, "dog " + " ".join(["red"] * 50))
    assert len(words) == 51  # also beyond the context
    np.testing.assert_allclose(maps[1], maps[50], atol=1e-5)
    np.testing.assert_allclose(maps[0], word_patch_map(encoder, picture, "dog")[1][0], atol=1e-5)


def test_a_word_is_located_where_covering_the_image_lowers_its_score() -> None:
    """The model sees a black patch as "ink"; "sky" does not depend on the image."""

    class Ink:
        def prepare(self, image: Image.Image) -> np.ndarray:
            return np.moveaxis(np.asarray(image), 2, 0)

        def encode_images(self, images: list[np.ndarray]) -> np.ndarray:
            return np.array([[np.mean(each < 50), 1.0] for each in images], np.float32)

        def encode_texts(self, texts: list[str]) -> np.ndarray:
            return np.array([[1, 0] if text == "ink" else [0, 1] for text in texts], np.float32)

    pixels = np.full((40, 40, 3), 255, np.uint8)
    pixels[20:30, 10:20] = 0
    maps = np.zeros((3, 4, 4), np.float32)
    maps[0, 2, 1] = maps[1, 0, 3] = maps[2, 2, 1] = 1
    found = located(cast(DualEncoder, Ink()), Image.fromarray(pixels), ["ink", "ink", "sky"], maps)
    assert found.tolist() == [True, False, False]


def test_most_words_for_things_of_picturebook_are_located_on_the_thing() -> None:
    encoder = load_encoder("starter:infonce")
    right = []
    for index in range(12):
        scene = scene_of("test", index)
        for thing in scene.things:
            image = draw(scene)
            words, maps = word_patch_map(encoder, image, thing.kind.split()[-1])
            if located(encoder, image, words, maps).all() and " " not in thing.kind:
                row, column = np.unravel_index(maps[0].argmax(), maps[0].shape)
                boxes = [box(each, scene.things) for each in scene.things if each.kind == thing.kind]
                x, y = (np.array([column, row]) + 0.5) / maps.shape[-1]
                margin = 0.5 / maps.shape[-1]
                right.append(
                    any(
                        left - margin <= x <= end + margin and top - margin <= y <= bottom + margin
                        for left, top, end, bottom in boxes
                    )
                )
    assert len(right) >= 8
    assert np.mean(right) >= 0.9


def test_texts_without_words_and_patches_in_no_square_are_refused(
    encoder: DualEncoder, picture: Image.Image
) -> None:
    for blank in ("", " \n"):
        with pytest.raises(QueryError, match="no word"):
            word_importance(Bag(), blank, np.ones(2))
        with pytest.raises(QueryError, match="no word"):
            word_patch_map(encoder, picture, blank)

    class Strip:
        spec = "strip"
        encode_texts = staticmethod(encoder.encode_texts)

        def encode_images(self, images: list[Image.Image], tokens: bool) -> tuple[np.ndarray, np.ndarray]:
            return np.zeros((1, 32), np.float32), np.zeros((1, 6, 32), np.float32)

    with pytest.raises(ModelError, match="strip divides an image into 6 patches"):
        word_patch_map(cast(DualEncoder, Strip()), picture, "a dog")


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)


def test_the_best_patch_of_each_word_and_the_shades_of_all_patches() -> None:
    maps = np.array([[[-0.2, 0.0], [0.8, 0.3]], [[0.1, 0.3], [0.2, 0.0]]], np.float32)
    table = best_patches(["dog", "red"], maps, np.array([True, False]))
    assert table["located"].tolist() == [True, False]
    assert table[["word", "row", "column"]].to_numpy().tolist() == [["dog", 2, 1], ["red", 1, 2]]
    assert table["cosine"].tolist() == pytest.approx([0.8, 0.3])
    assert table["shades"][0] == pytest.approx([0, 0.2, 1, 0.5])
    assert table["shades"][1] == pytest.approx([0.3, 0.5, 0.4, 0.2])
    flat = best_patches(["dog"], np.full((1, 1, 1), 0.4, np.float32), np.array([True]))
    assert flat["shades"][0].tolist() == [0]
