"""The false-alarm rate of the calibration, on synthetic data with known matches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.calibration import Calibration
from itr_core.errors import GalleryError

DIM = 16


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


RNG = np.random.default_rng(0)


def captions_of(images: np.ndarray, image_of_caption: np.ndarray) -> np.ndarray:
    """Return captions near their images, except for the last component: a larger one lowers the score."""
    captions = 4 * images[image_of_caption] + 0.5 * RNG.standard_normal((len(image_of_caption), DIM))
    captions[:, -1] = RNG.uniform(0, 9, len(image_of_caption))
    return unit(captions)


def random_images(count: int) -> np.ndarray:
    flat = RNG.standard_normal((count, DIM))
    flat[:, -1] = 0
    return unit(flat)


IMAGES, IMAGE_OF_CAPTION = random_images(1000), np.repeat(np.arange(1000), 3)
GALLERY = IMAGES, captions_of(IMAGES, IMAGE_OF_CAPTION), IMAGE_OF_CAPTION
CALIBRATION = Calibration.of(*GALLERY)


def best(queries: np.ndarray) -> np.ndarray:
    return (queries @ IMAGES.T).max(axis=1)


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.2])
def test_false_alarms_are_as_rare_as_the_stated_rate(rate: float) -> None:
    queries = captions_of(IMAGES, IMAGE_OF_CAPTION)
    alarms = (CALIBRATION.p_value(queries, best(queries)) <= rate).mean()
    # Bonferroni: two tests share the rate, and alarms of both count once.
    assert rate / 3 < alarms < 1.2 * rate


def test_it_detects_more_than_a_threshold_on_the_score() -> None:
    without_match = captions_of(random_images(1000), IMAGE_OF_CAPTION)
    detected = (CALIBRATION.p_value(without_match, best(without_match)) <= 0.05).mean()
    by_score = (best(without_match) <= np.quantile(best(GALLERY[1]), 0.05)).mean()
    assert detected > 0.45  # 0.49 to 0.51, as scikit-learn's version assigns groups to folds
    assert detected > 1.9 * by_score


def test_a_query_unlike_all_captions_has_a_small_p_value() -> None:
    unrelated = -np.eye(DIM, dtype=np.float32)[-1:]
    assert CALIBRATION.p_value(unrelated, best(unrelated))[0] < 0.01


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=9))
def test_the_p_value_never_falls_with_the_score(scores: list[float]) -> None:
    ordered = np.sort(scores)
    p_values = CALIBRATION.p_value(np.repeat(GALLERY[1][:1], len(ordered), axis=0), ordered)
    assert (np.diff(p_values) >= 0).all()
    assert ((p_values > 0) & (p_values <= 1)).all()


def test_the_order_of_captions_does_not_matter() -> None:
    images, texts, image_of_caption = GALLERY
    order = np.random.default_rng(0).permutation(len(texts))
    again = Calibration.of(images, texts[order], image_of_caption[order])
    np.testing.assert_allclose(again.scores, CALIBRATION.scores, rtol=1e-5)
    np.testing.assert_allclose(again.scores, np.sort(best(texts)), rtol=1e-5)


def test_many_captions_are_sampled_with_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.calibration.MAX_CAPTIONS", 500)
    one, same, other = (Calibration.of(*GALLERY, seed=seed) for seed in (0, 0, 1))
    assert len(one.scores) == 500
    np.testing.assert_array_equal(one.excess, same.excess)
    assert (one.scores != other.scores).any()


def test_too_few_captioned_images_are_refused() -> None:
    images, texts, image_of_caption = GALLERY
    with pytest.raises(GalleryError, match=r"captions: 19;.* 20"):
        Calibration.of(images, texts[: 19 * 3], image_of_caption[: 19 * 3])
    with pytest.raises(GalleryError, match="captions: 0;"):
        Calibration.of(images, texts[:0], image_of_caption[:0])
