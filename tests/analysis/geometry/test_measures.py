"""Geometry against the published formulas, plain loops, examples by hand and the bootstrap itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from analysis import blocks
from analysis.geometry import alignment, estimates, measures, uniformity
from analysis.geometry.catalogue import GEOMETRY
from analysis.geometry.measures import (
    effective_rank,
    geometry,
    hubness,
    k_occurrences,
    modality_gap,
    similarity_histograms,
)

World = tuple[np.ndarray, np.ndarray, np.ndarray]


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def world(images: int = 60, captions: int = 150, d: int = 8, seed: int = 0) -> World:
    """Images, captions near their images, and random image rows in order; each modality has its own mean."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((images, d))
    image_of_caption = np.sort(rng.integers(0, images, captions))
    y = x[image_of_caption] + rng.standard_normal((captions, d))
    return unit(x + np.eye(d)[0]), unit(y - np.eye(d)[1]), image_of_caption


# The code that Wang & Isola print, arXiv:2005.10242, Fig. 5.


def lalign(x: torch.Tensor, y: torch.Tensor, alpha: float) -> torch.Tensor:
    return (x - y).norm(dim=1).pow(alpha).mean()


def lunif(x: torch.Tensor, t: float) -> torch.Tensor:
    sq_pdist = torch.pdist(x, p=2).pow(2)
    return sq_pdist.mul(-t).exp().mean().log()


@given(st.integers(0, 9999), st.sampled_from([1.0, 2.0, 3.0]), st.integers(2, 40))
def test_alignment_and_uniformity_equal_the_published_code(seed: int, power: float, rows: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = (unit(rng.standard_normal((rows, 5))) for _ in range(2))
    exact_x, exact_y = (torch.from_numpy(a.astype(np.float64)) for a in (x, y))
    assert alignment(x, y, power) == pytest.approx(float(lalign(exact_x, exact_y, power)), abs=1e-6)
    # Products in single precision have an error of about 1e-6; the logarithm has t times as much.
    assert uniformity(x, power) == pytest.approx(float(lunif(exact_x, power)), abs=power * 2e-6)


@pytest.mark.parametrize(
    "convert",
    [lambda x: x.tolist(), torch.from_numpy, lambda x: torch.from_numpy(x).double().requires_grad_()],
    ids=["list", "tensor", "tensor with gradient"],
)
def test_lists_and_tensors_give_what_arrays_give(convert: Callable[[np.ndarray], Any]) -> None:
    images, texts, image_of_caption = world(20, 30)
    x, y = convert(images), convert(texts)
    own = torch.from_numpy(image_of_caption)
    assert alignment(convert(images[image_of_caption]), y) == pytest.approx(
        alignment(images[image_of_caption], texts)
    )
    assert uniformity(x) == pytest.approx(uniformity(images))
    assert modality_gap(x, y) == pytest.approx(modality_gap(images, texts))
    assert effective_rank(x) == pytest.approx(effective_rank(images))
    assert k_occurrences(x, y, 3).tolist() == k_occurrences(images, texts, 3).tolist()
    assert hubness(x, y, 3) == pytest.approx(hubness(images, texts, 3))
    np.testing.assert_allclose(geometry(x, y, own), geometry(images, texts, image_of_caption), rtol=1e-5)
    np.testing.assert_allclose(
        similarity_histograms(x, y, own.tolist(), 2),
        similarity_histograms(images, texts, image_of_caption, 2),
        rtol=1e-5,
    )


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images, texts, image_of_caption = world()
    whole = geometry(images, texts, image_of_caption)
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 7)
    np.testing.assert_allclose(geometry(images, texts, image_of_caption), whole, rtol=1e-5, atol=1e-6)


def test_uniform_and_collapsed_points() -> None:
    rng = np.random.default_rng(0)
    assert uniformity(unit(rng.standard_normal((2000, 512)))) == pytest.approx(-4, abs=0.02)
    assert uniformity(np.tile(np.eye(4)[:1], (5, 1))) == 0


def test_gap_distances_and_rank_by_hand() -> None:
    images = np.array([[1.0, 0, 0], [0, 1, 0]])
    texts = np.array([[1.0, 0, 0], [0, 0, 1]])
    assert modality_gap(images, texts) == pytest.approx(np.sqrt(0.5))  # (0, 1/2, -1/2)
    table = geometry(images, texts, np.array([0, 1]))
    assert table["value"]["positive_distance"] == pytest.approx(np.sqrt(2) / 2)  # 0 and sqrt(2)
    assert table["value"]["negative_distance"] == pytest.approx(np.sqrt(2))
    assert effective_rank(np.eye(5)) == pytest.approx(5)
    assert effective_rank(np.tile(np.eye(4)[:1], (9, 1))) == pytest.approx(1)
    # singular values 3 and 1: shares 3/4 and 1/4
    two = np.array([[1.0, 0]] * 9 + [[0, 1]])
    assert effective_rank(two) == pytest.approx(np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25))))


@given(st.integers(0, 9999))
def test_distances_of_pairs_and_non_pairs_equal_the_whole_matrix(seed: int) -> None:
    images, texts, image_of_caption = world(6, 11, seed=seed)
    distance = cdist(texts, images)
    pairs = np.eye(6, dtype=bool)[image_of_caption]
    value = geometry(images, texts, image_of_caption)["value"]
    assert value["positive_distance"] == pytest.approx(distance[pairs].mean(), abs=1e-6)
    assert value["negative_distance"] == pytest.approx(distance[~pairs].mean(), abs=1e-6)


def test_k_occurrences_count_and_a_hub_skews() -> None:
    rng = np.random.default_rng(0)
    queries, items = unit(rng.standard_normal((40, 6))), unit(rng.standard_normal((12, 6)))
    counts = [0] * 12
    for row in queries @ items.T:
        for item in np.argsort(-row)[:3]:
            counts[item] += 1
    assert k_occurrences(queries, items, 3).tolist() == counts
    centre = np.eye(6)[:1]
    with_hub = np.concatenate([items, centre]).astype(np.float32)
    assert hubness(unit(queries + 3 * centre), with_hub, 1) > hubness(queries, items, 1)
    # nine items never found, one found ten times: z = 3 once and -1/3 nine times
    assert hubness(np.tile(np.eye(10)[:1], (10, 1)), np.eye(10), 1) == pytest.approx((27 - 9 / 27) / 10)
    assert hubness(np.eye(10), np.eye(10), 1) == 0


def bootstrapped(
    images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray, draws: int = 300
) -> dict[str, float]:
    """Return standard errors by resampling images with all their captions, from the definitions.

    Weights are by image, so that two copies of an image are not a pair at distance 0.
    """
    rng = np.random.default_rng(0)
    kernel = np.exp(-2 * cdist(texts, texts) ** 2)
    between = cdist(images, texts)
    pairs = np.eye(len(images), dtype=bool)[:, image_of_caption]
    own = between[image_of_caption, np.arange(len(texts))]
    found: dict[str, list[float]] = {}
    for _ in range(draws):
        w = np.bincount(rng.integers(0, len(images), len(images)), minlength=len(images)).astype(float)
        v = w[image_of_caption]
        pair_weights = np.where(image_of_caption[:, None] == image_of_caption, v[:, None], np.outer(v, v))
        np.fill_diagonal(pair_weights, 0)
        negative = np.where(pairs, 0, np.outer(w, v))
        drawn = np.repeat(np.arange(len(images)), w.astype(int))
        captions = np.repeat(np.arange(len(texts)), v.astype(int))
        values = {
            "alignment": (v * own**2).sum() / v.sum(),
            "positive_distance": (v * own).sum() / v.sum(),
            "negative_distance": (negative * between).sum() / negative.sum(),
            "uniformity_captions": np.log((pair_weights * kernel).sum() / pair_weights.sum()),
            "modality_gap": np.linalg.norm(images[drawn].mean(0) - texts[captions].mean(0)),
            "effective_rank_images": effective_rank(images[drawn]),
            "effective_rank_captions": effective_rank(texts[captions]),
        }
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return {name: float(np.std(values)) for name, values in found.items()}


def test_intervals_agree_with_the_bootstrap_over_images() -> None:
    images, texts, image_of_caption = world(300, 900, seed=3)
    table = geometry(images, texts, image_of_caption)
    for name, error in bootstrapped(images, texts, image_of_caption).items():
        width = (table.high[name] - table.low[name]) / 2 / 1.96
        assert width == pytest.approx(error, rel=0.2), name  # 300 draws give a standard error to 4 %
        assert table.low[name] < table.value[name] < table.high[name]


def test_the_interval_of_the_skewness_agrees_with_the_bootstrap() -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(4, size=2000)
    estimate = estimates.skewness(values, np.arange(2000))
    low, high = estimate.interval(2000)
    centred = values - values.mean()
    assert estimate.value == pytest.approx((centred**3).mean() / (centred**2).mean() ** 1.5)
    draws = [estimates.skewness(rng.choice(values, 2000), np.arange(2000)).value for _ in range(400)]
    assert (high - low) / 2 / 1.96 == pytest.approx(np.std(draws), rel=0.2)


def test_intervals_cover_the_value_of_the_population() -> None:
    """Captions repeat five times: an interval over captions would be narrower by sqrt(5)."""
    truth = geometry(*world(4000, 8000, seed=99)).value
    inside = []
    for seed in range(40):
        images, _, _ = world(200, 1, seed=seed)
        rng = np.random.default_rng(seed + 1000)
        captions = unit(images - np.eye(8)[0] * 0.5 + 0.5 * rng.standard_normal(images.shape))
        table = geometry(images, np.repeat(captions, 5, axis=0), np.repeat(np.arange(200), 5))
        single = geometry(images, captions, np.arange(200))
        ratio = (table.high - table.low) / (single.high - single.low)
        assert ratio[["alignment", "positive_distance", "modality_gap"]].to_numpy() == pytest.approx(1)
        inside.append(
            table.low["uniformity_images"] < truth["uniformity_images"] < table.high["uniformity_images"]
        )
    assert 0.85 <= np.mean(inside) <= 1


def test_a_sample_of_many_points_has_wider_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    images, texts, image_of_caption = world(800, 2000)
    exact = geometry(images, texts, image_of_caption)
    monkeypatch.setattr(measures, "MAX_POINTS", 300)
    some = geometry(images, texts, image_of_caption)
    for name in ("uniformity_images", "uniformity_captions", "uniformity_joint", "negative_distance"):
        assert some.value[name] != exact.value[name]
        assert abs(some.value[name] - exact.value[name]) < 2 * (some.high[name] - some.low[name]), name
        assert some.high[name] - some.low[name] > 1.3 * (exact.high[name] - exact.low[name]), name
    assert some.value["alignment"] == exact.value["alignment"]
    assert uniformity(images) == some.value["uniformity_images"] != uniformity(images, seed=1)
    assert geometry(images, texts, image_of_caption).equals(some)


def test_the_table_has_every_metric_in_order() -> None:
    table = geometry(*world())
    assert list(table.index) == list(GEOMETRY)
    assert list(table.columns) == ["value", "low", "high"]
    assert table.notna().to_numpy().all()
    for name, metric in GEOMETRY.items():
        low, high = metric.range
        assert low is None or low <= table["value"][name]
        assert high is None or table["value"][name] <= high


def test_one_image_has_no_interval() -> None:
    assert np.isnan(estimates.mean(np.ones(2), np.zeros(2, np.int64)).interval(1)).all()


def test_without_non_pairs_their_distance_is_nan() -> None:
    own = np.zeros(2, np.int64)
    found = estimates.negative_distance(np.eye(3)[:1], own[:1], np.eye(3)[:2], own)
    assert np.isnan(found.value)


def test_histograms_are_densities_of_pairs_and_non_pairs() -> None:
    images, texts, image_of_caption = world(40, 90)
    table = similarity_histograms(images, texts, image_of_caption, bins=12)
    cosines, pairs = images @ texts.T, np.eye(40, dtype=bool)[:, image_of_caption]
    width = table.right - table.left
    assert (table.positive * width).sum() == pytest.approx(1)
    assert (table.negative * width).sum() == pytest.approx(1)
    middle = table.iloc[6]
    for values, density in ((cosines[pairs], middle.positive), (cosines[~pairs], middle.negative)):
        share = ((values >= middle.left) & (values < middle.right)).mean()
        assert density * width[6] == pytest.approx(share)
    assert len(table) == 12
    assert similarity_histograms(np.eye(3)[:1], np.eye(3)[:2], np.zeros(2, int)).negative.sum() == 0


@pytest.mark.parametrize(
    ("images", "texts", "image_of_caption", "message"),
    [
        (np.eye(3), 2 * np.eye(3), [0, 1, 2], "Row 0 has norm 2"),
        (np.eye(3) * [[1], [np.nan], [1]], np.eye(3), [0, 1, 2], "Row 1 has norm nan"),
        (np.eye(3), np.eye(4), [0, 1, 2, 0], r"\(3, 3\) and \(4, 4\)"),
        (np.eye(3), np.eye(3), [0, 1], r"image_of_caption has shape \(2,\); expected \(3,\)"),
        (np.eye(3)[0], np.eye(3), [0, 1, 2], r"images must be a matrix .* shape \(3,\)"),
        (np.eye(3), np.eye(3), [0, 1, 3], r"\[0, 3\)"),
    ],
)
def test_wrong_input_is_named(
    images: np.ndarray, texts: np.ndarray, image_of_caption: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        geometry(images, texts, np.array(image_of_caption, dtype=np.int64))


def test_wrong_input_of_single_metrics_is_named() -> None:
    with pytest.raises(ValueError, match="each row of one"):
        alignment(np.eye(2), np.eye(2)[:1])
    with pytest.raises(ValueError, match="at least two points, got 1"):
        uniformity(np.eye(2)[:1])
    with pytest.raises(ValueError, match=r"x must be a matrix .* shape \(2,\)"):
        effective_rank([1.0, 0.0])
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(3, 3\)"):
        modality_gap(np.eye(2), np.eye(3))
    with pytest.raises(ValueError, match=r"k=4 must be in \[1, 3\]"):
        hubness(np.eye(3), np.eye(3), 4)
