"""The small map of a picture shows what is known already, and computes nothing."""

from pathlib import Path

import numpy as np
import pytest

from analysis.gallery_analysis import GalleryAnalysis
from analysis.small_map import MOST_POINTS, small_map
from itr_core import Gallery, load_encoder, load_pairs


@pytest.fixture
def analysis(tmp_path: Path) -> GalleryAnalysis:
    gallery = Gallery.build(
        load_pairs("picturebook:gallery@12"), load_encoder("starter:infonce"), tmp_path / "g"
    )
    return GalleryAnalysis(gallery)


def test_a_map_that_is_not_known_is_not_shown(analysis: GalleryAnalysis) -> None:
    assert small_map(analysis, 0, []) is None
    points = analysis.map("joint", "pca")["images"].points
    found = small_map(analysis, 3, [1, 2])
    assert found is not None
    assert found.method == "pca"
    assert found.others.shape == (12, 2)
    assert found.others.min() == 0
    assert found.others.max() == 1
    np.testing.assert_array_equal(found.image, found.others[3])
    np.testing.assert_array_equal(found.found, found.others[[1, 2]])
    top = int(points[:, 1].argmax())  # the highest point has the smallest distance from the top
    assert found.others[top, 1] == 0
    assert MOST_POINTS > 12
