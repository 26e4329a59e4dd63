"""Results that visitors wait for: computed once, in processes that end when nobody waits any more."""

import os
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from analysis.result_store import ResultStore
from itr_core.errors import GalleryError
from tests.support import has_ended, wait_until
from tests.ui.async_calls import run_async
from tests.ui.web.slow_result import compute
from ui.web.analysis import jobs
from ui.web.analysis.jobs import Stop, Work, working
from ui.web.galleries import Galleries


class Analysis:
    """The part of a `GalleryAnalysis` that is used here."""

    def __init__(self, folder: Path) -> None:
        self.gallery = SimpleNamespace(path=folder, manifest=SimpleNamespace(checksum=""))
        self.results = ResultStore(folder / "analysis", lambda name: "key")


class OneGallery:
    """The part of `Galleries` that is used here."""

    names = ("g",)

    def __init__(self, folder: Path) -> None:
        self._analysis = Analysis(folder)

    def analysis(self, name: str) -> Analysis:
        return self._analysis

    def searcher(self, name: str) -> Any:
        return SimpleNamespace(encoder=SimpleNamespace(spec="model"))


@pytest.fixture
def galleries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Galleries:
    monkeypatch.setattr(jobs, "compute", compute)
    return cast(Galleries, OneGallery(tmp_path))


def runs(folder: Path, name: str) -> list[int]:
    """Return the ids of the processes that have started to compute a result, at least one."""
    path = folder / f"{name}.runs"
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return [int(line) for line in path.read_text().split()]


def finish(work: Work) -> None:
    while work.running():
        pass


def test_a_result_that_two_visitors_wait_for_is_computed_once(galleries: Galleries, tmp_path: Path) -> None:
    with working(galleries, "g", "umap-joint") as one, working(galleries, "g", "umap-joint") as other:
        assert len(runs(tmp_path, "umap-joint")) == 1
        wait_until(lambda: (one.done, other.total) == (3, 7))
        assert one.running(0)
        (tmp_path / "umap-joint.go").touch()
        finish(one)
        finish(other)
    assert galleries.analysis("g").results.in_memory() == {"umap-joint": "model"}
    with working(galleries, "g", "umap-joint") as later:
        assert not later.running(0)
    assert len(runs(tmp_path, "umap-joint")) == 1


def test_who_leaves_does_not_end_what_another_waits_for(galleries: Galleries, tmp_path: Path) -> None:
    with working(galleries, "g", "umap-joint") as stays:
        with working(galleries, "g", "umap-joint"):
            runs(tmp_path, "umap-joint")
        (tmp_path / "umap-joint.go").touch()
        finish(stays)
    assert len(runs(tmp_path, "umap-joint")) == 1


def test_the_process_is_killed_when_the_last_visitor_leaves(galleries: Galleries, tmp_path: Path) -> None:
    for visits in range(1, 4):  # more often than there are processes
        with working(galleries, "g", "umap-joint"):
            while len(runs(tmp_path, "umap-joint")) < visits:
                time.sleep(0.01)
        wait_until(lambda: has_ended(runs(tmp_path, "umap-joint")[-1]))
    (tmp_path / "umap-joint.go").touch()
    with working(galleries, "g", "umap-joint") as work:
        finish(work)


def test_results_of_seconds_do_not_wait_for_results_of_minutes(galleries: Galleries, tmp_path: Path) -> None:
    with ExitStack() as visitors:
        for number in range(20):
            visitors.enter_context(working(galleries, "g", f"umap-{number}"))
        (tmp_path / "misses.go").touch()
        finish(visitors.enter_context(working(galleries, "g", "misses")))
        started = list(tmp_path.glob("umap-*.runs"))
        assert 0 < len(started) <= max(1, (os.cpu_count() or 2) // 2)


def test_an_error_reaches_all_who_wait_and_the_next_visitor_tries_again(
    galleries: Galleries, tmp_path: Path
) -> None:
    (tmp_path / "damaged.go").touch()
    for _ in range(2):
        with working(galleries, "g", "damaged") as one, working(galleries, "g", "damaged") as other:
            for work in (one, other):
                with pytest.raises(GalleryError, match="no captions"):
                    finish(work)
    assert len(runs(tmp_path, "damaged")) == 2


def test_what_the_tabs_show_first_is_computed_without_a_visitor(galleries: Galleries, tmp_path: Path) -> None:
    first = {*jobs.SHOWN_FIRST, "umap-joint"}
    for name in first:
        (tmp_path / f"{name}.go").touch()
    jobs.prepare(galleries)
    wait_until(lambda: galleries.analysis("g").results.in_memory().keys() == first)


def test_stop_ends_only_the_computation_of_the_session_that_pressed_it() -> None:
    async def stop_button() -> Stop:
        with gr.Blocks():
            return Stop(gr.Button(), ("ended",))

    stop = run_async(stop_button())  # without a running event loop, Gradio leaves one unclosed
    one, other = (gr.Request(session_hash=name) for name in ("one", "other"))
    mine, theirs = (stop.until_pressed(who, ((number,) for number in range(3))) for who in (one, other))
    assert (next(mine), next(theirs)) == ((0,), (0,))
    stop._press(one)
    assert list(mine) == [("ended",)]
    assert list(theirs) == [(1,), (2,)]
    assert stop._pressed == {}
