"""Long work behind a page that tells how far it is, and ends when nobody waits for it any more."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

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
