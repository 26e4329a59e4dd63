"""`pairscope index`, and searches with what it made."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ui.cli import app


def pairscope(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    built = pairscope("build", "picturebook:gallery@60", "--out", tmp_path / "gallery", "--no-map")
    assert built.exit_code == 0, built.stderr
    return tmp_path / "gallery"


def test_a_gallery_that_needs_no_index_is_told(gallery: Path) -> None:
    shown = pairscope("index", gallery)
    assert shown.exit_code == 0, shown.stderr
    assert "60 images and 300 captions" in shown.stdout
    assert "no index was made" in shown.stdout
    assert not json.loads(pairscope("search", gallery, "a dog", "--json").stdout)["approximate"]


def test_searches_use_the_index_unless_they_are_to_be_exact(
    gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("itr_core.retrieval.saved_index.FEWEST", 50)
    made = json.loads(pairscope("index", gallery, "--json").stdout)
    assert made["images"]["recall"] >= 0.99
    assert "recall@10" in pairscope("index", gallery).stdout
    found, exact = (
        json.loads(pairscope("search", gallery, "a dog", "-k", 1, "--json", *option).stdout)
        for option in ((), ("--exact",))
    )
    assert found["approximate"]
    assert not exact["approximate"]
    assert found["hits"] == exact["hits"]


def test_milvus_is_searched_like_any_index_until_another_replaces_it(tmp_path: Path) -> None:
    client = pytest.importorskip("pymilvus", reason="pip install 'pairscope[milvus]'").MilvusClient
    photos, gallery, file = tmp_path / "photos", tmp_path / "gallery", tmp_path / "milvus.db"
    pairscope("data", "export", "picturebook:gallery@40", "--to", "folder", "--out", photos)
    assert pairscope("build", photos, "--out", gallery, "--index", "milvus:file").exit_code == 2
    assert not gallery.exists()
    built = pairscope("build", photos, "--out", gallery, "--no-map", "--index", f"milvus:{file}")
    assert built.exit_code == 0, built.stderr
    assert "100.0%" in pairscope("index", gallery, "--index", f"milvus:{file}").stdout
    milvus = client(str(file))
    before = set(milvus.list_collections())
    min(photos.rglob("*.png")).unlink()
    updated = pairscope("update", gallery)
    assert updated.exit_code == 0, updated.stderr
    after = set(milvus.list_collections())
    assert (len(before), len(after), before & after) == (2, 2, set())
    found, exact = (
        json.loads(pairscope("search", gallery, "a dog", "--json", *option).stdout)["hits"]
        for option in ((), ("--exact",))
    )
    assert found == exact
    milvus.drop_collection(max(after))
    milvus.drop_collection(min(after))
    refused = pairscope("search", gallery, "a dog")
    assert refused.exit_code == 2
    assert str(file) in refused.stderr
    assert "--exact" in refused.stderr
    assert "Traceback" not in refused.stderr
    milvus.close()


def test_an_update_indexes_the_new_embeddings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("itr_core.retrieval.saved_index.FEWEST", 30)
    photos, gallery = tmp_path / "photos", tmp_path / "gallery"
    exported = pairscope("data", "export", "picturebook:gallery@40", "--to", "folder", "--out", photos)
    assert exported.exit_code == 0, exported.stderr
    built = pairscope("build", photos, "--out", gallery, "--no-map", "--index", "faiss")
    assert built.exit_code == 0, built.stderr
    min(photos.rglob("*.png")).unlink()
    with monkeypatch.context() as refused:
        for recall in ("GOAL", "LEAST"):
            refused.setattr(f"itr_core.retrieval.approximate.{recall}", 2)
        failed = pairscope("update", gallery)
    assert failed.exit_code == 2
    assert f"{gallery} is up to date and is searched exactly" in " ".join(failed.stderr.split())
    updated = pairscope("update", gallery, "--json")
    assert json.loads(updated.stdout)["unchanged"] == 39
    found = json.loads(pairscope("search", gallery, "a dog", "--json").stdout)
    assert found["approximate"]
    assert len(list((tmp_path / "cache" / "indexes").iterdir())) == 4  # images and captions, none of before
