"""Results that are shipped for the demo gallery."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from analysis.ready_made import ready_made, ship
from analysis.result_store import ResultStore
from itr_core import load_encoder, load_pairs
from itr_core.gallery.manifest import Manifest

NAMES = [
    "ranks",
    "metrics",
    "geometry",
    "histograms",
    "by_length",
    "truncated",
    "misses",
    "probes",
    "compared",
]
NAMES += ["true_images", "calibration", "picture_calibration", "report_card"]
NAMES += [
    f"{method}-{kind}" for method in ("pca", "umap") for kind in ("joint", "centred", "images", "captions")
]


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    """The manifest of the demo gallery, as far as it says what the gallery contains."""
    pairs, encoder = load_pairs("picturebook:gallery"), load_encoder("starter:infonce", device="cpu")
    return Manifest(
        source=pairs.source,
        source_fingerprint=pairs.fingerprint,
        model=encoder.spec,
        model_fingerprint=encoder.fingerprint,
        dim=encoder.dim,
        images=len(pairs),
        captions=len(pairs.flat_captions()[0]),
        created=datetime.now(UTC),
        skipped=[],
        files={},
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_result_of_the_demo_gallery_is_shipped(manifest: Manifest, name: str) -> None:
    assert ready_made(manifest).known(name)


def test_shipped_results_are_of_the_demo_gallery(manifest: Manifest) -> None:
    def never() -> pd.DataFrame:
        raise AssertionError

    metrics = ready_made(manifest).table("metrics", never)
    assert metrics.loc["t2i_r1", "queries"] == manifest.captions
    assert ready_made(manifest).arrays("umap-joint", dict)["points"].shape == (
        manifest.images + manifest.captions,
        2,
    )


def test_another_gallery_gets_none_of_them(manifest: Manifest) -> None:
    for change in ({"model_fingerprint": "another"}, {"options": {"limit": 500}}, {"images": 1999}):
        assert not ready_made(manifest.model_copy(update=change)).known("ranks")


def test_shipped_results_are_read_where_the_gallery_has_none(manifest: Manifest, tmp_path: Path) -> None:
    table, newer = pd.DataFrame({"value": [1.0]}), pd.DataFrame({"value": [2.0]})
    computed = ResultStore(tmp_path / "computed", str)
    computed.table("metrics", lambda: table)
    ship(computed, manifest, tmp_path / "shipped")

    store = ResultStore(tmp_path / "gallery", str, ready_made(manifest, tmp_path / "shipped"))
    assert store.known("metrics")
    assert not store.known("ranks")
    assert store.table("metrics", lambda: newer).equals(table)
    assert not (tmp_path / "gallery").exists()
