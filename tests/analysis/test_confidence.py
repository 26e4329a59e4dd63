"""Notes on low confidence: rare for what a gallery contains, frequent for what is unlike it."""

import numpy as np
import pytest

from analysis.calibration import Calibration
from analysis.confidence import Confidence, PictureCalibration, Said
from itr_core.errors import GalleryError

DIM = 8
RNG = np.random.default_rng(0)


def pictures(count: int, tail: float = 0.05) -> np.ndarray:
    """Unit vectors that vary little in their last component."""
    x = RNG.normal(size=(count, DIM)) * [*[1.0] * (DIM - 1), tail]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("rate", [0.02, 0.1])
def test_pictures_like_those_of_the_gallery_are_reported_as_rarely_as_stated(rate: float) -> None:
    calibration = PictureCalibration.of(pictures(500))
    assert (calibration.p_value(pictures(2000)) <= rate).mean() == pytest.approx(rate, rel=0.5)


def test_pictures_unlike_those_of_the_gallery_are_reported() -> None:
    calibration = PictureCalibration.of(pictures(500))
    assert (calibration.p_value(pictures(200, tail=1.0)) <= 0.02).mean() > 0.7


def test_equal_and_few_pictures_are_not_calibrated() -> None:
    for few in (pictures(99), np.repeat(pictures(1), 120, axis=0)):
        with pytest.raises(GalleryError, match="needs 100 different images"):
            PictureCalibration.of(few)


def test_a_query_is_said_if_one_caption_contains_all_of_it() -> None:
    said = Said(["Two brown dogs on a beach", "a red kite"])
    assert "dog" in said
    assert "brown dogs" in said
    assert "a dog by the shore" in said  # synonyms of places
    assert "a red dog" not in said
    assert "zebra" not in said
    assert "" not in said


def test_a_query_of_which_a_caption_says_everything_is_never_reported() -> None:
    excess = np.linspace(-0.1, 0.1, 100)
    queries = Calibration(np.linspace(0.5, 0.9, 100), excess, excess, np.zeros(DIM), 0.7)
    confidence = Confidence(Said(["a dog on a beach"]), queries, None)
    assert confidence.of_query("a dog", np.ones(DIM), 0.1) == 1.0
    assert confidence.of_query("a zebra", np.ones(DIM), 0.1) < 0.02
    assert confidence.of_query("a zebra", np.ones(DIM), 0.8) > 0.1
    assert confidence.of_picture(np.ones(DIM)) == 1.0


def test_a_word_that_model_and_captions_never_met_is_as_rare_as_words_of_one_caption() -> None:
    excess = np.linspace(-0.1, 0.1, 100)
    queries = Calibration(np.linspace(0.5, 0.9, 100), excess, excess, np.zeros(DIM), 0.7)
    said = Said(["a dog runs"] * 98 + ["a dog rests"])
    confidence = Confidence(said, queries, None)
    assert said.new_word_rate == 0.02  # one caption of 99 has such a word, "rests"
    assert confidence.of_query("a zebra", np.ones(DIM), 0.8, ["zebra"]) == 0.02
    assert confidence.of_query("a zebra", np.ones(DIM), 0.8) > 0.1  # the model has met it
    assert confidence.of_query("a rock dgo", np.ones(DIM), 0.8, ["dgo"]) > 0.1  # a misspelling of "dog"
