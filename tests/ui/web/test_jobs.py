"""Long computations behind a page: progress, result or error, and the end when nobody waits."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import pytest

from ui.web.analysis.jobs import Stop, working


def test_progress_and_result_are_reported() -> None:
    go_on = threading.Event()

    def count(to: int, *, progress: Callable[[int, int], None]) -> int:
        progress(3, to)
        go_on.wait(20)
        return to

    with working(count, 7) as work:
        while work.done == 0:
            assert work.running(0.01)
        assert (work.done, work.total) == (3, 7)
        go_on.set()
        while work.running():
            pass
        assert work.result() == 7


def test_an_error_is_raised_by_result() -> None:
    def fail(*, progress: Callable[[int, int], None]) -> None:
        raise ValueError("no")

    with working(fail) as work, pytest.raises(ValueError, match="no"):
        work.result()


def test_the_computation_ends_when_nobody_waits() -> None:
    ended = threading.Event()

    def endless(*, progress: Callable[[int, int], None]) -> None:
        try:
            while True:
                progress(1, 2)
                time.sleep(0.001)
        finally:
            ended.set()

    with working(endless) as work:
        assert work.running(0.05)
    assert ended.wait(20)


def test_stop_ends_only_the_computation_of_the_session_that_pressed_it() -> None:
    async def stop_button() -> Stop:
        with gr.Blocks():
            return Stop(gr.Button(), ("ended",))

    # Without a running event loop, Gradio creates one and leaves it unclosed; this thread may have one.
    with ThreadPoolExecutor(1) as thread:
        stop = thread.submit(lambda: asyncio.run(stop_button())).result()
    one, other = (gr.Request(session_hash=name) for name in ("one", "other"))
    mine, theirs = (stop.until_pressed(who, ((number,) for number in range(3))) for who in (one, other))
    assert (next(mine), next(theirs)) == ((0,), (0,))
    stop._press(one)
    assert list(mine) == [("ended",)]
    assert list(theirs) == [(1,), (2,)]
    assert stop._pressed == {}
