"""What a gallery's analysis keeps: computed once, never stale, never in the way of the gallery."""

import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis import gallery_analysis
from analysis.gallery_analysis import KINDS, GalleryAnalysis, aligned, same_items
from analysis.geometry import measures
from itr_core.errors import GalleryError
from itr_core.gallery import Gallery
from itr_core.gallery.manifest import Manifest, stamps
from itr_core.metrics import CosineSimilarity, retrieval_metrics
from itr_core.pairs import load_pairs

N, DIM = 30, 12


def write_gallery(folder: Path, *, seed: int = 0, captions: bool = True) -> Gallery:
    """A gallery of Picturebook's first scenes as some model might embed them: pairs are near, not nearest."""
    pairs = load_pairs(f"picturebook:test@{N}")
    told = pairs.captions if captions else [[] for _ in range(N)]
    image_of_caption = np.repeat(np.arange(N), [len(each) for each in told])
    random = np.random.default_rng(seed)
    images = np.random.default_rng(0).normal(size=(N, DIM)) + 0.2 * random.normal(size=(N, DIM))
    texts = images[image_of_caption] + 0.8 * random.normal(size=(len(image_of_caption), DIM)) + 0.5
    (folder / "thumbnails").mkdir(parents=True, exist_ok=True)
    for name, x in (("image_embeddings.npy", images), ("text_embeddings.npy", texts)):
        np.save(folder / name, (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32))
    thumbnails = [f"thumbnails/{row}.webp" for row in range(N)]
    for row, name in enumerate(thumbnails):
        Image.new("RGB", (8, 8), (8 * row, 0, 0)).save(folder / name)
    items = {"image_id": pairs.image_ids, "captions": told, "thumbnail": thumbnails}
    pd.DataFrame(items).to_parquet(folder / "items.parquet")
    Manifest(
        source=pairs.source, source_fingerprint=pairs.fingerprint, model=f"model {seed}",
        model_fingerprint=str(seed), dim=DIM, images=N, captions=len(image_of_caption), skipped=[],
        created=datetime.now(UTC),
        files=stamps(folder, ["image_embeddings.npy", "text_embeddings.npy", "items.parquet", *thumbnails]),
    ).write(folder)  # fmt: skip
    return Gallery.open(folder)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    gallery = write_gallery(tmp_path_factory.mktemp("prepared") / "gallery")
    GalleryAnalysis(gallery).prepare()
    return gallery


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return write_gallery(tmp_path / "gallery")


def entries(gallery: Gallery) -> list[str]:
    return sorted(path.name.partition(".")[0] for path in (gallery.path / "analysis").iterdir())


# ---- results


def test_metrics_are_those_of_the_core_with_intervals(prepared: Gallery) -> None:
    table = GalleryAnalysis(prepared).metrics()
    expected = retrieval_metrics(
        CosineSimilarity(prepared.image_embeddings, prepared.text_embeddings), prepared.image_of_caption
    )
    assert table["value"].to_dict() == pytest.approx(expected)
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    assert table.loc["t2i_r1", "queries"] == len(prepared.image_of_caption)


def test_every_result(prepared: Gallery) -> None:
    analysis = GalleryAnalysis(prepared)
    pairs = prepared.image_embeddings, prepared.text_embeddings, prepared.image_of_caption
    pd.testing.assert_frame_equal(analysis.geometry(), measures.geometry(*pairs))
    pd.testing.assert_frame_equal(analysis.histograms(), measures.similarity_histograms(*pairs))
    assert analysis.by_length()["queries"].sum() == len(pairs[1])
    t2i, i2t = analysis.ranks()
    assert len(analysis.misses()) == (t2i > 1).sum() + (i2t > 1).sum()
    assert (analysis.misses()["by"] == "truth").any()
    true = analysis.ground_truth.matrix()  # type: ignore[union-attr]
    np.testing.assert_array_equal(analysis.true_images(), true.sum(axis=0))
    assert analysis.calibration().scores.shape == (len(pairs[1]),)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["pca", "umap"])
def test_a_map_has_its_modalities_and_places_what_it_knows(
    prepared: Gallery, kind: gallery_analysis.Kind, method: gallery_analysis.Method
) -> None:
    maps = GalleryAnalysis(prepared).map(kind, method)
    assert maps.keys() == {"images", "captions"} & ({kind} if kind in ("images", "captions") else maps.keys())
    for of, rows in (("images", prepared.image_embeddings), ("captions", prepared.text_embeddings)):
        if of in maps:
            assert maps[of].points.shape == (len(rows), 2)
            np.testing.assert_allclose(maps[of].place(rows[3:5]), maps[of].points[3:5], atol=1e-2)


def test_nothing_heavy_is_imported_with_it() -> None:
    heavy = "{'umap', 'sklearn', 'numba', 'datasets', 'plotly'} & set(sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, analysis.gallery_analysis; print({heavy})"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert loaded.stdout.strip() == "set()"


# ---- kept


def test_nothing_is_computed_twice(prepared: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    for module, name in (
        (gallery_analysis, "ranks"), (gallery_analysis, "umap_map"), (gallery_analysis, "pca_map"), (gallery_analysis, "truth_of"),
        (measures, "geometry"), (measures, "similarity_histograms"), (gallery_analysis.errors, "misses"),
        (gallery_analysis.query_length, "by_length"), (gallery_analysis.Calibration, "of"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, never)
    GalleryAnalysis(prepared).prepare()


def test_the_gallery_stays_whole_and_serves_nothing_more(prepared: Gallery) -> None:
    assert entries(prepared)
    assert Gallery.open(prepared.path, verify=True).manifest == prepared.manifest
    assert not [path for path in (prepared.path / "thumbnails").rglob("*") if path.suffix != ".webp"]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nonsense", b"half"])
def test_a_damaged_entry_is_computed_again(gallery: Gallery, damage: bytes) -> None:
    before = GalleryAnalysis(gallery)
    table, points = before.geometry(), before.map("joint", "pca")["images"].points
    files = list((gallery.path / "analysis").iterdir())
    assert len(files) == 2
    for file in files:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if damage == b"half" else damage)
    again = GalleryAnalysis(gallery)
    pd.testing.assert_frame_equal(again.geometry(), table)
    np.testing.assert_array_equal(again.map("joint", "pca")["images"].points, points)
    pd.testing.assert_frame_equal(pd.read_parquet(next(f for f in files if f.suffix == ".parquet")), table)


def test_a_gallery_made_anew_sees_nothing_of_the_old(gallery: Gallery) -> None:
    old = GalleryAnalysis(gallery).geometry()
    new = GalleryAnalysis(write_gallery(gallery.path, seed=1)).geometry()
    assert abs(new.loc["alignment", "value"] - old.loc["alignment", "value"]) > 1e-3
    assert entries(gallery) == ["geometry"]


def test_a_raised_version_computes_anew_what_depends_on_it(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = GalleryAnalysis(gallery)
    ranks, metrics, geometry_before = before.ranks(), before.metrics(), before.geometry()
    monkeypatch.setitem(gallery_analysis.RESULTS, "ranks", (2, ()))
    monkeypatch.setattr(gallery_analysis, "ranks", lambda *_: tuple(np.ones_like(each) for each in ranks))
    monkeypatch.setattr(measures, "geometry", lambda *_: pytest.fail("does not depend on ranks"))
    after = GalleryAnalysis(gallery)
    assert metrics.loc["rsum", "value"] < 600
    assert after.metrics().loc["rsum", "value"] == 600  # every rank is now 1
    pd.testing.assert_frame_equal(after.geometry(), geometry_before)
    assert entries(gallery) == ["geometry", "metrics", "ranks"]


def test_every_result_depends_on_declared_ones_only() -> None:
    for name, (version, parts) in gallery_analysis.RESULTS.items():
        assert version >= 1, name
        assert set(parts) <= gallery_analysis.RESULTS.keys() - {name}


def test_where_nothing_can_be_written_results_are_there_all_the_same(gallery: Gallery) -> None:
    (gallery.path / "analysis").write_text("in the way")
    analysis = GalleryAnalysis(gallery)
    assert analysis.metrics().loc["rsum", "value"] > 0
    assert analysis.ranks() is not None
    assert (gallery.path / "analysis").read_text() == "in the way"


def test_what_a_reader_does_to_a_table_stays_with_the_reader(gallery: Gallery) -> None:
    analysis = GalleryAnalysis(gallery)
    table = analysis.metrics()
    table["value"] = -1.0
    assert (analysis.metrics()["value"] > 0).all()
    with pytest.raises(ValueError, match="read-only"):
        GalleryAnalysis(gallery).ranks()[0][0] = 7


def test_threads_that_ask_for_the_same_share_the_work(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    together = threading.Barrier(4)
    measure = measures.geometry
    monkeypatch.setattr(measures, "geometry", lambda *pairs: calls.append(1) or measure(*pairs))
    analysis = GalleryAnalysis(gallery)

    def ask() -> None:
        together.wait()
        analysis.geometry()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1]


# ---- long work


def test_prepare_tells_how_far_it_is(gallery: Gallery) -> None:
    calls: list[tuple[int, int]] = []
    GalleryAnalysis(gallery).prepare(progress=lambda done, total: calls.append((done, total)))
    steps = [done for done, _ in calls]
    assert steps == sorted(steps)
    assert calls[-1][0] == calls[-1][1]
    assert len(set(steps)) > 100
    assert {f"umap-{kind}" for kind in KINDS} < set(entries(gallery))


def test_without_umap(gallery: Gallery) -> None:
    GalleryAnalysis(gallery).prepare(umap=False)
    assert not [name for name in entries(gallery) if "umap" in name]
    assert {"geometry", "metrics", "misses", "by_length", "pca-joint"} < set(entries(gallery))


def test_cancelled_work_leaves_no_trace_and_can_be_done_later(gallery: Gallery) -> None:
    def stop(done: int, total: int) -> None:
        if done > 20:
            raise KeyboardInterrupt

    analysis = GalleryAnalysis(gallery)
    with pytest.raises(KeyboardInterrupt):
        analysis.map("images", progress=stop)
    assert not (gallery.path / "analysis").exists()
    assert analysis.map("images")["images"].points.shape == (N, 2)


# ---- little, and much of the same


def test_without_captions_there_are_maps_of_the_images(tmp_path: Path) -> None:
    analysis = GalleryAnalysis(write_gallery(tmp_path / "gallery", captions=False))
    analysis.prepare()
    assert entries(analysis.gallery) == ["pca-images", "umap-images"]
    with pytest.raises(GalleryError, match="30 images and 0 captions"):
        analysis.metrics()


def test_models_of_the_same_source_share_a_map(gallery: Gallery, tmp_path: Path) -> None:
    first, second = GalleryAnalysis(gallery), GalleryAnalysis(write_gallery(tmp_path / "other", seed=1))
    assert same_items([first, second])
    maps = aligned([first, second], "images")
    away = np.linalg.norm(maps[0]["images"].points - maps[1]["images"].points, axis=1)
    spread = np.linalg.norm(maps[0]["images"].points - maps[0]["images"].points.mean(axis=0), axis=1)
    assert np.median(away) < 0.5 * np.median(spread)
    again = aligned(
        [GalleryAnalysis(gallery), second], "images", progress=lambda done, total: pytest.fail("again")
    )
    np.testing.assert_array_equal(again[1]["images"].points, maps[1]["images"].points)


def test_other_pairs_do_not_share_a_map(gallery: Gallery, tmp_path: Path) -> None:
    fewer = GalleryAnalysis(write_gallery(tmp_path / "fewer", captions=False))
    about = fewer.gallery.manifest.model_copy(update={"source_fingerprint": "another"})
    about.write(tmp_path / "fewer")
    fewer = GalleryAnalysis(Gallery.open(tmp_path / "fewer"))
    with pytest.raises(GalleryError, match="hold different pairs"):
        aligned([GalleryAnalysis(gallery), fewer], "images")
