"""One result of a gallery, as a process of its own computes it."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.gallery_analysis import GalleryAnalysis
from analysis.report_card.measure import report_card
from analysis.worker import compute
from itr_core.encoders.dual_encoder import load_encoder
from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.pairs import load_pairs
from tests.analysis.test_gallery_analysis import write_gallery


def no_progress(done: int, total: int) -> None:
    pass


@pytest.mark.parametrize(
    ("name", "others"), [("by_length", {"ranks", "true_images"}), ("umap-images", set())]
)
def test_the_result_is_cached_where_the_server_finds_it(tmp_path: Path, name: str, others: set[str]) -> None:
    gallery = write_gallery(tmp_path / "gallery")
    shutil.rmtree(gallery.path / "thumbnails")  # they can be elsewhere
    results = compute(gallery.path, gallery.manifest.checksum, name, "", progress=no_progress)
    assert results.keys() == {name} | others
    store = GalleryAnalysis(gallery).results
    assert store.known(name)
    store.add(results)
    assert store.in_memory() == results


def test_a_result_that_encodes_texts_uses_the_model_of_the_gallery(tmp_path: Path) -> None:
    encoder = load_encoder("starter:infonce")
    gallery = Gallery.build(load_pairs("picturebook:gallery@4"), encoder, tmp_path / "gallery")
    checksum = gallery.manifest.checksum
    truncated = compute(gallery.path, checksum, "truncated", encoder.spec, progress=no_progress)["truncated"]
    expected = GalleryAnalysis(gallery).truncated(encoder)
    np.testing.assert_allclose(truncated["r1"], expected["r1"])
    with pytest.raises(GalleryError, match="was built by starter:infonce"):
        compute(gallery.path, checksum, "probes", "starter:cusa", progress=no_progress)


def test_a_report_card_is_made_with_the_model_of_the_gallery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = partial(report_card, questions=1)
    monkeypatch.setattr("analysis.gallery_analysis.report_card", small)
    encoder = load_encoder("starter:infonce")
    gallery = Gallery.build(load_pairs("picturebook:gallery@4"), encoder, tmp_path / "gallery")
    checksum, steps = gallery.manifest.checksum, list[tuple[int, int]]()
    results = compute(
        gallery.path, checksum, "report_card", encoder.spec, progress=lambda *step: steps.append(step)
    )
    pd.testing.assert_frame_equal(results["report_card"], small(encoder))
    assert steps[-1][0] == steps[-1][1] > 0
    assert GalleryAnalysis(gallery).results.known("report_card")


def test_a_gallery_that_was_built_again_gets_no_result(tmp_path: Path) -> None:
    before = write_gallery(tmp_path / "gallery").manifest.checksum
    write_gallery(tmp_path / "gallery", seed=1)
    with pytest.raises(GalleryError, match="'gallery' was built again"):
        compute(tmp_path / "gallery", before, "ranks", "", progress=no_progress)
    assert not (tmp_path / "gallery" / "analysis").exists()
