"""Word importance and word-patch maps, for models whose scores follow by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image

from analysis.probes.word_importance import best_patches, word_importance, word_patch_map
from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.errors import ModelError, QueryError


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

    _, tokens, mask = encoder.encode_texts([text], tokens=True)
    _, patches = encoder.encode_images([picture], tokens=True)
    pieces = encoder.tokenizer.encode("a"), encoder.tokenizer.encode("hippopotamus's")
    assert [len(each) for each in pieces] == [1, len(pieces[1])]
    assert len(pieces[1]) > 1
    mean = tokens[0][mask[0]][1 : 1 + len(pieces[1])].mean(0)
    mean /= np.linalg.norm(mean)
    np.testing.assert_allclose(maps[1].ravel(), patches[0] @ mean, atol=1e-6)
    third = _unit(tokens[0][mask[0]][1 + len(pieces[1]) : -1].mean(0))
    assert maps[2, 1, 3] == pytest.approx(float(third @ patches[0][7]), abs=1e-6)  # patch 7 of 4 x 4


def test_words_beyond_the_context_have_no_map(encoder: DualEncoder, picture: Image.Image) -> None:
    words, maps = word_patch_map(encoder, picture, " ".join(["red"] * 50))
    assert len(words) == len(maps) == 24 - 2  # the context without start and end


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
    table = best_patches(["dog", "red"], maps)
    assert table[["word", "row", "column"]].to_numpy().tolist() == [["dog", 2, 1], ["red", 1, 2]]
    assert table["cosine"].tolist() == pytest.approx([0.8, 0.3])
    assert table["shades"][0] == pytest.approx([0, 0.2, 1, 0.5])
    assert table["shades"][1] == pytest.approx([0.3, 0.5, 0.4, 0.2])
    assert best_patches(["dog"], np.full((1, 1, 1), 0.4, np.float32))["shades"][0].tolist() == [0]
