"""The margin against its definition."""

import numpy as np
import pytest

from analysis.geometry.measures import geometry


def unit(rows: int, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(rows, 8))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_the_margin_is_the_definition() -> None:
    images, texts, image_of_caption = unit(20, 0), unit(60, 1), np.repeat(np.arange(20), 3)
    scores = texts @ images.T
    margins = [
        scores[c, i] - max(scores[c, j] for j in range(20) if j != i) for c, i in enumerate(image_of_caption)
    ]
    row = geometry(images, texts, image_of_caption).loc["caption_margin"]
    assert row["value"] == pytest.approx(np.mean(margins))
    assert row["low"] < row["value"] < row["high"]
