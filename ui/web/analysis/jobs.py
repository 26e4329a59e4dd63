"""Long work behind a page that tells how far it is, and ends when nobody waits for it any more."""

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import gradio as gr

T = TypeVar("T")

_POOL = ThreadPoolExecutor(2, thread_name_prefix="analysis")


class _Stopped(Exception):
    """Nobody waits for the work any more."""


@dataclass
class Work(Generic[T]):
    """Work under way. done, total: how far it is; total is 0 until it tells."""

    done: int = 0
    total: int = 0

    def start(self, task: Callable[[], T]) -> None:
        """Let another thread do it."""
        self._future = _POOL.submit(task)

    def running(self, seconds: float = 0.3) -> bool:
        """Wait so long at most, then tell whether it is still under way."""
        return bool(wait([self._future], timeout=seconds).not_done)

    def result(self) -> T:
        """What it returned; raises what it raised."""
        return self._future.result()


class Stop:
    """A button that ends long work for the visitor who presses it; `ended` is what their page shows then.

    Gradio can cancel an event, too, but then waits for its end before it answers the next of its kind.
    """

    def __init__(self, button: gr.Button, ended: tuple[Any, ...]) -> None:
        self._ended = ended
        self._pressed: dict[str, threading.Event] = {}
        button.click(self._press, None, None, api_visibility="private", queue=False)

    def _press(self, request: gr.Request) -> None:
        if pressed := self._pressed.get(str(request.session_hash)):
            pressed.set()

    def until_pressed(
        self, request: gr.Request, steps: Generator[tuple[Any, ...]]
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the steps of the work, and `ended` in the place of the rest."""
        session, pressed = str(request.session_hash), threading.Event()
        self._pressed[session] = pressed
        try:
            with closing(steps):
                for step in steps:
                    yield step
                    if pressed.is_set():
                        yield self._ended
                        return
        finally:
            if self._pressed.get(session) is pressed:  # and not that of the next question already
                del self._pressed[session]


@contextmanager
def working(task: Callable[..., T], *args: Any) -> Iterator[Work[T]]:
    """Start `task(*args, progress=...)` in another thread; once the block is left `progress` raises."""
    stopped = threading.Event()

    def tell(done: int, total: int) -> None:
        if stopped.is_set():
            raise _Stopped
        work.done, work.total = done, total

    work: Work[T] = Work()
    work.start(lambda: task(*args, progress=tell))
    try:
        yield work
    finally:
        stopped.set()
