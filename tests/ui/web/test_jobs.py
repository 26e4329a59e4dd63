"""Long work behind a page: how far it is, what it made or raised, and its end when nobody waits."""

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import gradio as gr
import pytest

from ui.web.analysis.jobs import Stop, working


def test_it_tells_how_far_it_is_and_what_came_out() -> None:
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


def test_what_it_raises_is_raised_to_who_waits() -> None:
    def fail(*, progress: Callable[[int, int], None]) -> None:
        raise ValueError("no")

    with working(fail) as work, pytest.raises(ValueError, match="no"):
        work.result()


def test_left_alone_it_ends_at_its_next_step() -> None:
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


def test_stop_ends_the_work_of_who_pressed_it_and_remembers_nobody() -> None:
    with gr.Blocks():
        stop = Stop(gr.Button(), ("ended",))
    one, other = (SimpleNamespace(session_hash=name) for name in ("one", "other"))
    mine, theirs = (stop.until_pressed(who, ((number,) for number in range(3))) for who in (one, other))
    assert (next(mine), next(theirs)) == ((0,), (0,))
    stop._press(one)
    assert list(mine) == [("ended",)]
    assert list(theirs) == [(1,), (2,)]
    assert stop._pressed == {}
