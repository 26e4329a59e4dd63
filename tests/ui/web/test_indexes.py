"""Galleries with an index in the app: what programs and visitors are told about it."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import pytest

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.gallery import Gallery
from itr_core.pairs import load_pairs
from itr_core.retrieval.index_records import PARTS, MilvusRecord, record_path, write_record
from itr_core.retrieval.milvus import MilvusSettings
from itr_core.retrieval.saved_index import save_indexes
from ui.web.endpoints import Endpoints
from ui.web.galleries import Galleries

AWAY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRSCOPE_CACHE", str(tmp_path / "cache"))


def build(folder: Path, count: int) -> Gallery:
    encoder = load_encoder("starter:infonce", device="cpu")
    return Gallery.build(load_pairs(f"picturebook:gallery@{count}"), encoder, folder)


def test_answers_say_whether_the_search_was_approximate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("itr_core.retrieval.saved_index.FEWEST", 40)
    gallery = build(tmp_path / "gallery", 40)
    save_indexes(gallery)
    for exact in (False, True):
        endpoints = Endpoints(Galleries([str(gallery.path)], None, exact=exact))
        assert [hit["approximate"] for hit in endpoints.search_text("a dog", 2)] == [not exact] * 2


def test_an_index_that_is_made_for_an_updated_gallery_is_used_by_the_running_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("itr_core.retrieval.saved_index.FEWEST", 40)
    monkeypatch.setattr("ui.web.galleries.LOOK_SECONDS", 0)
    gallery = build(tmp_path / "gallery", 40)
    save_indexes(gallery)
    galleries = Galleries([str(gallery.path)], None)
    assert galleries.searcher("gallery", timeout=120).approximate()
    wait_until(lambda: galleries.confidence("gallery") is not None)  # the thread is idle
    updated = build(gallery.path, 44)
    wait_until(lambda: len(galleries.searcher("gallery").gallery) == 44)
    searcher = galleries.searcher("gallery")
    assert not searcher.approximate()
    save_indexes(updated)
    wait_until(lambda: galleries.searcher("gallery").approximate())
    assert galleries.searcher("gallery") is searcher


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_milvus_that_is_away_stops_the_searches_of_its_gallery_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("pymilvus", reason="pip install 'pairscope[milvus]'")
    caplog.set_level(logging.INFO, "itr_core")
    away, here = build(tmp_path / "away", 6), build(tmp_path / "here", 5)
    settings = MilvusSettings(0, 1.0)
    for of in PARTS:
        record = MilvusRecord(gallery=str(away.path), uri=AWAY, inserted=6, settings=settings)
        write_record(record_path(away, of), record)
    endpoints = Endpoints(Galleries([str(away.path), str(here.path)], None))
    with pytest.raises(gr.Error, match="The index of this gallery does not answer") as caught:
        endpoints.search_text("a dog", 2, "away")
    assert AWAY not in str(caught.value)
    assert AWAY in caplog.text
    assert len(endpoints.search_text("a dog", 2, "here")) == 2
