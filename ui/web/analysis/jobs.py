"""Long computations behind a page: they report progress and end when nobody waits for them."""

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import gradio as gr

T = TypeVar("T")

_POOL = ThreadPoolExecutor(2, thread_name_prefix="analysis")


class _StoppedError(Exception):
    """Nobody waits for the result any more."""


@dataclass
class Work(Generic[T]):
    """A running computation. `done` of `total` steps are complete; `total` is 0 until it is known."""

    done: int = 0
    total: int = 0

    def start(self, task: Callable[[], T]) -> None:
        """Run the task in another thread."""
        self._future = _POOL.submit(task)

    def running(self, seconds: float = 0.3) -> bool:
        """Wait for the result, at most `seconds`; return True if it is not there yet."""
        return bool(wait([self._future], timeout=seconds).not_done)

    def result(self) -> T:
        """Return the result, or raise what the task raised."""
        return self._future.result()


class Stop:
    """A button with which visitors end their own computation.

    Gradio can cancel an event as well, but answers the next event of this kind only after the cancelled
    handler has returned.

    Args:
        button: The button.
        ended: Values of the outputs after the button was pressed.
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
        """Yield the steps of the computation; once the button is pressed, yield `ended` and return."""
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
            if self._pressed.get(session) is pressed:  # it may belong to the session's next computation
                del self._pressed[session]


@contextmanager
def working(task: Callable[..., T], *args: Any) -> Iterator[Work[T]]:
    """Run `task(*args, progress=...)` in another thread; when the block exits, `progress` raises."""
    stopped = threading.Event()

    def report(done: int, total: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        work.done, work.total = done, total

    work: Work[T] = Work()
    work.start(lambda: task(*args, progress=report))
    try:
        yield work
    finally:
        stopped.set()
