"""The analysis of a gallery: results are computed once, never outdated, and leave the gallery valid."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import gallery_analysis, query_length
from analysis.calibration import Calibration
from analysis.gallery_analysis import KINDS, GalleryAnalysis, aligned, same_items
from analysis.geometry import measures
from analysis.misses import causes
from analysis.result_versions import RESULTS, Version
from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.metrics import CosineSimilarity, retrieval_metrics
from itr_core.pairs import load_pairs
from tests import galleries

N, DIM = 30, 12


def write_gallery(folder: Path, *, seed: int = 0, captions: bool = True) -> Gallery:
    """Write a gallery of Picturebook's first scenes with random embeddings in which pairs are similar."""
    pairs = load_pairs(f"picturebook:test@{N}")
    texts_of = pairs.captions if captions else [[] for _ in range(N)]
    image_of_caption = np.repeat(np.arange(N), [len(each) for each in texts_of])
    random = np.random.default_rng(seed)
    images = np.random.default_rng(0).normal(size=(N, DIM)) + 0.2 * random.normal(size=(N, DIM))
    texts = images[image_of_caption] + 0.8 * random.normal(size=(len(image_of_caption), DIM)) + 0.5
    return galleries.write_gallery(
        folder, galleries.unit(images), galleries.unit(texts), pairs.image_ids, texts_of,
        source=pairs.source, fingerprint=pairs.fingerprint, model=f"model {seed}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    gallery = write_gallery(tmp_path_factory.mktemp("prepared") / "gallery")
    GalleryAnalysis(gallery).prepare()
    return gallery


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return write_gallery(tmp_path / "gallery")


def cached(gallery: Gallery) -> list[str]:
    return sorted(path.name.partition(".")[0] for path in (gallery.path / "analysis").iterdir())


# ---- results


def test_metrics_equal_retrieval_metrics_and_lie_in_their_intervals(prepared: Gallery) -> None:
    table = GalleryAnalysis(prepared).metrics()
    expected = retrieval_metrics(
        CosineSimilarity(prepared.image_embeddings, prepared.text_embeddings), prepared.image_of_caption
    )
    assert table["value"].to_dict() == pytest.approx(expected)
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    assert table.loc["t2i_r1", "queries"] == len(prepared.image_of_caption)


def test_results_equal_those_of_the_functions(prepared: Gallery) -> None:
    analysis = GalleryAnalysis(prepared)
    pairs = prepared.image_embeddings, prepared.text_embeddings, prepared.image_of_caption
    pd.testing.assert_frame_equal(analysis.geometry(), measures.geometry(*pairs))
    pd.testing.assert_frame_equal(analysis.histograms(), measures.similarity_histograms(*pairs))
    assert analysis.by_length()["queries"].sum() == len(pairs[1])
    t2i, i2t = analysis.ranks()
    assert len(analysis.misses()) == (t2i > 1).sum() + (i2t > 1).sum()
    assert (analysis.misses()["by"] == "truth").any()
    truth, true_images = analysis.truth, analysis.true_images()
    assert truth is not None
    assert true_images is not None
    np.testing.assert_array_equal(true_images, truth.matrix().sum(axis=0))
    assert analysis.calibration().scores.shape == (len(pairs[1]),)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["pca", "umap"])
def test_a_map_has_its_modalities_and_places_its_rows_at_their_points(
    prepared: Gallery, kind: gallery_analysis.Kind, method: gallery_analysis.Method
) -> None:
    maps = GalleryAnalysis(prepared).map(kind, method)
    assert maps.keys() == {"images", "captions"} & ({kind} if kind in ("images", "captions") else maps.keys())
    for modality, rows in (("images", prepared.image_embeddings), ("captions", prepared.text_embeddings)):
        if modality in maps:
            found = maps[modality]
            assert found.points.shape == (len(rows), 2)
            np.testing.assert_allclose(found.place(rows[3:5]), found.points[3:5], atol=1e-2)


def test_the_import_loads_no_slow_library() -> None:
    slow = "{'umap', 'sklearn', 'numba', 'datasets', 'plotly'} & set(sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, analysis.gallery_analysis; print({slow})"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert loaded.stdout.strip() == "set()"


# ---- cache


def test_no_result_is_computed_twice(prepared: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    for module, name in (
        (gallery_analysis, "ranks"),
        (gallery_analysis, "umap_map"),
        (gallery_analysis, "pca_map"),
        (gallery_analysis, "truth_of"),
        (measures, "geometry"),
        (measures, "similarity_histograms"),
        (causes, "misses"),
        (query_length, "by_length"),
        (Calibration, "of"),
    ):
        monkeypatch.setattr(module, name, never)
    GalleryAnalysis(prepared).prepare()


def test_the_gallery_stays_valid_and_its_thumbnails_unchanged(prepared: Gallery) -> None:
    assert cached(prepared)
    assert Gallery.open(prepared.path, verify=True).manifest == prepared.manifest
    assert not [path for path in (prepared.path / "thumbnails").rglob("*") if path.suffix != ".webp"]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nonsense", b"half"])
def test_a_damaged_file_is_computed_again(gallery: Gallery, damage: bytes) -> None:
    before = GalleryAnalysis(gallery)
    table, points = before.geometry(), before.map("joint", "pca")["images"].points
    files = list((gallery.path / "analysis").iterdir())
    assert len(files) == 2
    for file in files:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if damage == b"half" else damage)
    again = GalleryAnalysis(gallery)
    pd.testing.assert_frame_equal(again.geometry(), table)
    np.testing.assert_array_equal(again.map("joint", "pca")["images"].points, points)
    stored = next((gallery.path / "analysis").glob("*.parquet"))
    pd.testing.assert_frame_equal(pd.read_parquet(stored), table)


def test_a_rebuilt_gallery_gets_none_of_the_old_results(gallery: Gallery) -> None:
    old = GalleryAnalysis(gallery).geometry()
    new = GalleryAnalysis(write_gallery(gallery.path, seed=1)).geometry()
    assert abs(new["value"]["alignment"] - old["value"]["alignment"]) > 1e-3
    assert cached(gallery) == ["geometry"]


def test_a_raised_version_recomputes_the_result_and_its_dependants(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = GalleryAnalysis(gallery)
    ranks, metrics, geometry_before = before.ranks(), before.metrics(), before.geometry()
    monkeypatch.setitem(RESULTS, "ranks", Version(2))
    monkeypatch.setattr(gallery_analysis, "ranks", lambda *_: tuple(np.ones_like(each) for each in ranks))
    monkeypatch.setattr(measures, "geometry", lambda *_: pytest.fail("does not depend on ranks"))
    after = GalleryAnalysis(gallery)
    assert metrics["value"]["rsum"] < 600
    assert after.metrics()["value"]["rsum"] == 600  # every rank is now 1
    pd.testing.assert_frame_equal(after.geometry(), geometry_before)
    assert cached(gallery) == ["geometry", "metrics", "ranks"]


def test_results_depend_on_declared_results_only() -> None:
    for name, version in RESULTS.items():
        assert version.number >= 1, name
        assert set(version.depends_on) <= RESULTS.keys() - {name}


def test_results_are_available_if_the_folder_cannot_be_written(gallery: Gallery) -> None:
    (gallery.path / "analysis").write_text("in the way")
    analysis = GalleryAnalysis(gallery)
    assert analysis.metrics()["value"]["rsum"] > 0
    assert analysis.ranks() is not None
    assert (gallery.path / "analysis").read_text() == "in the way"


def test_changing_a_returned_table_does_not_change_the_cache(gallery: Gallery) -> None:
    analysis = GalleryAnalysis(gallery)
    table = analysis.metrics()
    table["value"] = -1.0
    assert (analysis.metrics()["value"] > 0).all()
    with pytest.raises(ValueError, match="read-only"):
        GalleryAnalysis(gallery).ranks()[0][0] = 7


def test_threads_that_request_the_same_result_compute_it_once(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    together = threading.Barrier(4)
    measure = measures.geometry
    analysis = GalleryAnalysis(gallery)

    def counted(*pairs: np.ndarray) -> pd.DataFrame:
        calls.append(1)
        return measure(*pairs)

    def request() -> None:
        together.wait()
        analysis.geometry()

    monkeypatch.setattr(measures, "geometry", counted)
    threads = [threading.Thread(target=request) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1]


# ---- slow results


def test_prepare_reports_progress(gallery: Gallery) -> None:
    calls: list[tuple[int, int]] = []
    GalleryAnalysis(gallery).prepare(progress=lambda done, total: calls.append((done, total)))
    steps = [done for done, _ in calls]
    assert steps == sorted(steps)
    assert calls[-1][0] == calls[-1][1]
    assert len(set(steps)) > 100
    assert {f"umap-{kind}" for kind in KINDS} < set(cached(gallery))


def test_prepare_can_skip_umap(gallery: Gallery) -> None:
    GalleryAnalysis(gallery).prepare(umap=False)
    assert not [name for name in cached(gallery) if "umap" in name]
    assert {"geometry", "metrics", "misses", "by_length", "pca-joint"} < set(cached(gallery))


def test_cancelled_work_writes_nothing_and_can_be_repeated(gallery: Gallery) -> None:
    def stop(done: int, total: int) -> None:
        if done > 20:
            raise KeyboardInterrupt

    analysis = GalleryAnalysis(gallery)
    with pytest.raises(KeyboardInterrupt):
        analysis.map("images", progress=stop)
    assert not (gallery.path / "analysis").exists()
    assert analysis.map("images")["images"].points.shape == (N, 2)


# ---- images only, and several models


def test_a_gallery_without_captions_has_maps_of_the_images(tmp_path: Path) -> None:
    analysis = GalleryAnalysis(write_gallery(tmp_path / "gallery", captions=False))
    analysis.prepare()
    assert cached(analysis.gallery) == ["geometry", "pca-images", "umap-images"]
    assert analysis.map("joint").keys() == {"images"}
    with pytest.raises(GalleryError, match="30 pictures and 0 captions"):
        analysis.metrics()


def test_maps_of_the_same_pairs_are_aligned(gallery: Gallery, tmp_path: Path) -> None:
    first, second = GalleryAnalysis(gallery), GalleryAnalysis(write_gallery(tmp_path / "other", seed=1))
    assert same_items([first, second])
    maps = aligned([first, second], "images")
    distance = np.linalg.norm(maps[0]["images"].points - maps[1]["images"].points, axis=1)
    spread = np.linalg.norm(maps[0]["images"].points - maps[0]["images"].points.mean(axis=0), axis=1)
    assert np.median(distance) < 0.5 * np.median(spread)
    again = aligned(
        [GalleryAnalysis(gallery), second],
        "images",
        progress=lambda done, total: pytest.fail("computed again"),
    )
    np.testing.assert_array_equal(again[1]["images"].points, maps[1]["images"].points)


def test_maps_of_different_pairs_cannot_be_aligned(gallery: Gallery, tmp_path: Path) -> None:
    fewer = GalleryAnalysis(write_gallery(tmp_path / "fewer", captions=False))
    about = fewer.gallery.manifest.model_copy(update={"source_fingerprint": "another"})
    about.write(tmp_path / "fewer")
    fewer = GalleryAnalysis(Gallery.open(tmp_path / "fewer"))
    with pytest.raises(GalleryError, match="contain different pairs"):
        aligned([GalleryAnalysis(gallery), fewer], "images")
