"""Verdicts on searches: levels, and the number of results that may match."""

import numpy as np
import pytest

from analysis.calibration import Calibration
from analysis.confidence import Confidence, PictureCalibration, Said
from analysis.verdict import verdict_on_picture, verdict_on_query

DIM = 4
EXCESS = np.linspace(-0.1, 0.1, 100)
QUERIES = Calibration(np.linspace(0.5, 0.9, 100), EXCESS, EXCESS - 0.1, np.zeros(DIM), 0.7)
CONFIDENCE = Confidence(Said(["a dog"]), QUERIES, None)


@pytest.mark.parametrize(
    ("scores", "level", "likely"),
    [
        ([0.75, 0.74, 0.5], "good", 2),
        ([0.614, 0.51], "unsure", 1),
        ([0.4, 0.3], "unlikely", 0),
        ([0.9, 0.9, 0.9], "good", 3),
    ],
)
def test_the_level_follows_from_the_best_score_and_the_cut_from_all(
    scores: list[float], level: str, likely: int
) -> None:
    verdict = verdict_on_query(CONFIDENCE, "a zebra", np.ones(DIM), np.array(scores))
    assert verdict is not None
    assert (verdict.level, verdict.likely) == (level, likely)


def test_what_a_caption_says_is_here() -> None:
    verdict = verdict_on_query(CONFIDENCE, "a dog", np.ones(DIM), np.array([0.1]))
    assert verdict is not None
    assert (verdict.level, verdict.likely) == ("good", 0)


def test_without_a_calibration_there_is_no_verdict() -> None:
    assert verdict_on_query(None, "a dog", np.ones(DIM), np.ones(3)) is None
    assert verdict_on_query(Confidence(Said([]), None, None), "a dog", np.ones(DIM), np.ones(3)) is None
    assert verdict_on_query(CONFIDENCE, "a dog", np.ones(DIM), np.ones(0)) is None
    assert verdict_on_picture(CONFIDENCE, np.ones(DIM), 3) is None


def test_a_picture_unlike_those_of_the_gallery_is_unfamiliar() -> None:
    rng = np.random.default_rng(0)
    pictures = PictureCalibration.of(rng.normal(size=(200, DIM)))
    confidence = Confidence(Said([]), None, pictures)
    levels = [verdict_on_picture(confidence, x, 5) for x in (np.zeros(DIM), np.full(DIM, 9.0))]
    assert [each and each.level for each in levels] == ["good", "unfamiliar"]


def test_matches_are_taken_as_unlikely_as_rarely_as_stated() -> None:
    rng = np.random.default_rng(1)
    images = rng.normal(size=(3000, 16)).astype(np.float32)
    texts = images + 0.7 * rng.normal(size=images.shape).astype(np.float32)
    images, texts = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, texts))
    calibration = Calibration.of(images[:2000], texts[:2000], np.arange(2000))
    rates = np.concatenate(
        [calibration.match_rate(t, np.array([t @ v])) for t, v in zip(texts, images, strict=True)]
    )
    assert (rates[2000:] <= 0.1).mean() == pytest.approx(0.1, abs=0.03)
