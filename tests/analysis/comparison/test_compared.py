"""Results of one model over all captions, against the functions of the core and of others."""

from collections.abc import Callable

import numpy as np
import pytest

from analysis.comparison.compared import DEPTH, SHOWN, Compared
from analysis.gallery_analysis import GalleryAnalysis
from itr_core.evaluation.embedded import Embedded
from itr_core.evaluation.protocols import PROTOCOLS
from itr_core.metrics.samples import MetricSamples
from itr_core.pairs import PairSet


@pytest.fixture(scope="module")
def samples(pictures: PairSet) -> Callable[[GalleryAnalysis], dict[str, MetricSamples]]:
    """Return the metrics of `pairscope evaluate` by name."""

    def compute(analysis: GalleryAnalysis) -> dict[str, MetricSamples]:
        source = Embedded(pictures, analysis.images, analysis.gallery.text_embeddings)
        found = [each for name in ("standard", "exact") for each in PROTOCOLS[name](source)]
        return {each.name: each for each in found}

    return compute


def test_metrics_and_paired_differences_are_those_of_the_evaluation(
    analyses: list[GalleryAnalysis], samples: Callable[[GalleryAnalysis], dict[str, MetricSamples]]
) -> None:
    first, third = analyses[0].compared(), analyses[2].compared()
    expected, others = samples(analyses[0]), samples(analyses[2])
    differences = first.minus(third)
    assert {"t2i_r1", "i2t_r10", "rsum", "exact_t2i_map_at_r", "exact_i2t_map_at_r"} <= differences.keys()
    for name, estimate in first.estimates().items():
        assert estimate.value == pytest.approx(expected[name].value)
        assert differences[name] == pytest.approx(expected[name].minus(others[name]))


def test_first_images_and_right_ones_are_those_of_a_full_ranking(analyses: list[GalleryAnalysis]) -> None:
    analysis = analyses[0]
    compared, truth = analysis.compared(), analysis.truth
    assert truth is not None
    cosines = analysis.gallery.text_embeddings @ analysis.images.T
    ranked = np.argsort(-cosines, axis=1, kind="stable")[:, :DEPTH]
    np.testing.assert_array_equal(compared.first, ranked)
    relevant = truth.matrix().T
    np.testing.assert_array_equal(compared.right, np.take_along_axis(relevant, ranked, axis=1))
    np.testing.assert_array_equal(compared.rights, relevant.sum(axis=1))
    found = compared.right[:, :SHOWN].sum(axis=1) / np.minimum(SHOWN, relevant.sum(axis=1))
    np.testing.assert_allclose(compared.found, found)


def test_results_are_read_from_the_folder_as_they_were(analyses: list[GalleryAnalysis]) -> None:
    computed = analyses[1].compared()
    read = GalleryAnalysis(analyses[1].gallery).compared()
    for name, array in vars(computed).items():
        np.testing.assert_array_equal(getattr(read, name), array)


def test_without_truth_only_the_image_of_a_caption_is_right() -> None:
    images = np.eye(3, dtype=np.float32)
    compared = Compared.of(
        images, images[[0, 1, 1]], np.array([0, 1, 2]), (np.array([1.0, 1, 2.5]),) * 2, None
    )
    assert compared.right[:, 0].tolist() == [True, True, False]
    assert compared.rights.tolist() == [1, 1, 1]
    assert "exact_t2i_map_at_r" not in compared.estimates()


def test_models_with_other_metrics_are_not_compared(analyses: list[GalleryAnalysis]) -> None:
    images = np.eye(3, dtype=np.float32)
    other = Compared.of(images, images, np.arange(3), (np.ones(3), np.ones(3)), None)
    with pytest.raises(ValueError, match="cannot be compared"):
        analyses[0].compared().minus(other)
