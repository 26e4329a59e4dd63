"""Words that count, and where: against models whose answers are known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.probes.word_importance import word_importance, word_patch_map, word_places
from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.errors import ModelError, QueryError


class Bag:
    """A text is the sum of its words' directions, of any length: red and dog count, others do not."""

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        return np.array([["red" in text.split(), "dog" in text.split()] for text in texts], np.float32)


def test_a_word_is_worth_what_is_lost_without_it() -> None:
    text = "  A red dog\tdog runs"
    table = word_importance(Bag(), text, np.array([0.6, 0.8]))
    assert table["word"].tolist() == ["A", "red", "dog", "dog", "runs"]
    assert table["drop"].tolist() == pytest.approx([0, 0.6, 0, 0, 0])  # either dog stands in for the other
    assert [text[row.start : row.end] for row in table.itertuples()] == table["word"].tolist()
    assert word_importance(Bag(), "dog", np.array([0.6, 0.8]))["drop"].tolist() == pytest.approx([0.8])


@pytest.fixture(scope="module")
def encoder(configs: Path) -> DualEncoder:
    return load_encoder("tiny/none")


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_each_word_has_a_map_of_its_sub_words(encoder: DualEncoder, picture: Image.Image) -> None:
    text = "a hippopotamus's umbrella, red"
    words, maps = word_patch_map(encoder, picture, text)
    assert words == ["a", "hippopotamus's", "umbrella,", "red"]
    assert maps.shape == (4, 4, 4)
    assert maps.dtype == np.float32

    _, tokens, mask = encoder.encode_texts([text], tokens=True)
    _, places = encoder.encode_images([picture], tokens=True)
    pieces = encoder.tokenizer.encode("a"), encoder.tokenizer.encode("hippopotamus's")
    assert [len(each) for each in pieces] == [1, len(pieces[1])]
    assert len(pieces[1]) > 1
    mean = tokens[0][mask[0]][1 : 1 + len(pieces[1])].mean(0)
    mean /= np.linalg.norm(mean)
    np.testing.assert_allclose(maps[1].ravel(), places[0] @ mean, atol=1e-6)
    assert (
        maps[2, 1, 3]
        == pytest.approx(  # row by row
            float(_unit(tokens[0][mask[0]][1 + len(pieces[1]) : -1].mean(0)) @ places[0][7]), abs=1e-6
        )
    )


def test_of_a_long_text_the_words_that_are_read(encoder: DualEncoder, picture: Image.Image) -> None:
    words, maps = word_patch_map(encoder, picture, " ".join(["red"] * 50))
    assert len(words) == len(maps) == 24 - 2  # the context without start and end


def test_what_cannot_be_shown_is_said(encoder: DualEncoder, picture: Image.Image) -> None:
    for nothing in ("", " \n"):
        with pytest.raises(QueryError, match="no word"):
            word_importance(Bag(), nothing, np.ones(2))
        with pytest.raises(QueryError, match="no word"):
            word_patch_map(encoder, picture, nothing)

    class Strip:
        spec = "strip"
        encode_texts = staticmethod(encoder.encode_texts)

        def encode_images(self, images: list[Image.Image], tokens: bool) -> tuple[np.ndarray, np.ndarray]:
            return np.zeros((1, 32), np.float32), np.zeros((1, 6, 32), np.float32)

    with pytest.raises(ModelError, match="strip sees 6 places"):
        word_patch_map(Strip(), picture, "a dog")  # type: ignore[arg-type]


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)


def test_the_best_place_of_each_word_and_shades_of_all() -> None:
    maps = np.array([[[-0.2, 0.0], [0.8, 0.3]], [[0.1, 0.3], [0.2, 0.0]]], np.float32)
    table = word_places(["dog", "red"], maps)
    assert table[["word", "row", "column"]].to_numpy().tolist() == [["dog", 2, 1], ["red", 1, 2]]
    assert table["cosine"].tolist() == pytest.approx([0.8, 0.3])
    assert table["shades"][0] == pytest.approx([0, 0.2, 1, 0.5])
    assert table["shades"][1] == pytest.approx([0.3, 0.5, 0.4, 0.2])
    assert word_places(["dog"], np.full((1, 1, 1), 0.4, np.float32))["shades"][0].tolist() == [0]
