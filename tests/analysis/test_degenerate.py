"""Galleries with too little or with equal data: every measure is a number, or says what it needs."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from analysis.gallery_analysis import KINDS, GalleryAnalysis
from analysis.geometry.catalogue import GEOMETRY, missing
from analysis.geometry.measures import similarity_histograms
from analysis.projection import umap_map
from analysis.report import write_report
from analysis.tables import named, tables
from tests.galleries import write_gallery

DIM = 8
CASES: dict[str, tuple[int, list[int]]] = {
    "one image": (1, []),
    "one pair": (1, [0]),
    "one image, five captions": (1, [0, 0, 0, 0, 0]),
    "two images, one caption": (2, [1]),
    "two pairs": (2, [0, 1]),
    "six images, one caption": (6, [2]),
    "four pairs": (4, [0, 1, 2, 3]),
    "no captions": (9, []),
}
"""Name -> number of images, and the image of each caption."""


def analysis_of(folder: Path, images: np.ndarray, texts: np.ndarray, image_of: list[int]) -> GalleryAnalysis:
    """Write a gallery of embeddings; captions are "a thing" and equal."""
    captions = [["a thing"] * image_of.count(row) for row in range(len(images))]
    ids = [f"{row}" for row in range(len(images))]
    return GalleryAnalysis(write_gallery(folder, images, texts, ids, captions, source="folder:few"))


def unit(rows: int, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(rows, DIM))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("case", CASES)
def test_a_small_gallery_is_analysed_as_far_as_possible(case: str, tmp_path: Path) -> None:
    n, image_of = CASES[case]
    one = analysis_of(tmp_path / "few", unit(n, 0), unit(len(image_of), 1), image_of)
    one.prepare(umap=False)
    for kind in KINDS:
        assert all(np.isfinite(each.points).all() for each in one.map(kind, "pca").values())
    geometry = one.geometry()
    for name in GEOMETRY:
        assert np.isnan(geometry["value"][name]) == bool(missing(name, n, len(image_of)))
    found = tables(named([one]))
    assert found["metrics"].empty == bool(one.unpaired) == (n < 2 or not image_of)
    if not one.unpaired:
        assert np.isfinite(found["metrics"]["value"]).all()
    write_report(named([one]), found, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (one.unpaired in page) if one.unpaired else ('data-plot="causes"' in page)
    assert ">nan" not in page


@pytest.mark.parametrize("equal", ["images", "captions", "both"])
def test_equal_embeddings_are_analysed(equal: str, tmp_path: Path) -> None:
    images = unit(1 if equal != "captions" else 30, 0) * np.ones((30, 1))
    texts = unit(1 if equal != "images" else 30, 1) * np.ones((30, 1))
    one = analysis_of(tmp_path / "same", images, texts, list(range(30)))
    one.prepare(umap=False)
    assert np.isfinite(one.geometry().to_numpy()).all()
    assert np.isfinite(one.histograms().to_numpy()).all()
    assert np.isfinite(one.metrics().to_numpy()).all()
    assert one.metrics()["value"]["rsum"] < 200  # equal scores are ties, not hits


def test_a_histogram_of_equal_cosines_has_bins() -> None:
    table = similarity_histograms(np.eye(4)[[0] * 30], np.eye(4)[[1] * 30], np.arange(30))
    width = table["right"] - table["left"]
    assert (table["positive"] * width).sum() == pytest.approx(1)
    assert (table["negative"] * width).sum() == pytest.approx(1)


def test_umap_of_few_and_of_equal_embeddings_is_finite() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert np.ptp(umap_map(np.eye(3, dtype=np.float32)[[0] * 20])) == 0
        few, two_places = umap_map(unit(12, 0)), umap_map(np.eye(3, dtype=np.float32)[[0, 1] * 10])
    for points in (few, two_places):
        assert np.isfinite(points).all()
        assert np.ptp(points, axis=0).min() > 0
