"""Results of an analysis that take long: computed in processes, once for all visitors who wait for them."""

import os
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import gradio as gr

from analysis.gallery_analysis import KINDS, GalleryAnalysis
from analysis.worker import WITH_ENCODER, compute
from itr_core.errors import PairscopeError
from itr_core.system.computation import Computation, preload
from ui.web.galleries import Galleries

SHOWN_FIRST = ("geometry", "histograms", "misses", "by_length")
"""Results that the tabs show before a visitor has chosen anything."""
POLL_SECONDS = 1.0
"""How often a waiting page gets the progress, and the time after which it notices that the visitor left."""

# Results of minutes have their own processes, so that those of seconds never wait for them.
_PROCESSES = max(1, (os.cpu_count() or 2) // 2)
_QUICK, _SLOW = threading.Semaphore(2), threading.Semaphore(_PROCESSES)

_LOCK = threading.Lock()
_WORKS: "dict[tuple[GalleryAnalysis, str], Work]" = {}

preload([compute.__module__])


class Work:
    """One result that `visitors` wait for.

    Args:
        analysis: Analysis of the gallery.
        name: The result: see `analysis.worker.compute`.
        model: Spec of the gallery's model.
    """

    def __init__(self, analysis: GalleryAnalysis, name: str, model: str) -> None:
        self.visitors = 0
        self._key = analysis, name
        self._model = model
        self._computation: Computation[dict[str, Any]] | None = None
        self._finished: Future[None] = Future()
        if analysis.results.known(name):
            self._finished.set_result(None)
        else:
            threading.Thread(target=self._run, name=f"result {name}", daemon=True).start()

    @property
    def done(self) -> int:
        """Number of steps done."""
        return self._computation.done if self._computation else 0

    @property
    def total(self) -> int:
        """Number of steps in total; 0 until it is known."""
        return self._computation.total if self._computation else 0

    def running(self, seconds: float = POLL_SECONDS) -> bool:
        """Wait for the result, at most `seconds`; return True if it is not there yet.

        Once the result is in `analysis.results`, this returns False. If the computation failed, it raises
        the error.
        """
        if wait([self._finished], timeout=seconds).not_done:
            return True
        self._finished.result()
        return False

    def leave(self) -> None:
        """One visitor no longer waits; if it is the last one, the computation is killed."""
        with _LOCK:
            self.visitors -= 1
            if self.visitors == 0:
                _forget(self)
                if self._computation and not self._finished.done():
                    self._computation.kill()

    def _run(self) -> None:
        slow = self._key[1] in WITH_ENCODER or self._key[1].startswith("umap-")
        try:
            with _SLOW if slow else _QUICK:
                self._compute()
            self._finished.set_result(None)
        except Exception as error:
            self._finished.set_exception(error)
        finally:
            with _LOCK:
                _forget(self)

    def _compute(self) -> None:
        analysis, name = self._key
        with _LOCK:
            if not self.visitors:  # all left before its turn
                return
        gallery = analysis.gallery
        computation = Computation(compute, gallery.path, gallery.manifest.checksum, name, self._model)
        with _LOCK:
            self._computation = computation
            if not self.visitors:
                computation.kill()
        analysis.results.add(computation.result())


def _forget(work: Work) -> None:
    if _WORKS.get(work._key) is work:
        del _WORKS[work._key]


@contextmanager
def working(galleries: Galleries, gallery: str, name: str) -> Iterator[Work]:
    """Have a result computed, unless it is known or being computed already; leave it when the block exits.

    Args:
        galleries: All galleries.
        gallery: Name of the gallery.
        name: The result: see `analysis.worker.compute`.
    """
    analysis, model = galleries.analysis(gallery), galleries.searcher(gallery).encoder.spec
    with _LOCK:
        work = _WORKS.get((analysis, name))
        if work is None:
            work = _WORKS[analysis, name] = Work(analysis, name, model)
        work.visitors += 1
    try:
        yield work
    finally:
        work.leave()


def awaited(galleries: Galleries, names: Sequence[str], *results: str) -> Iterator[tuple[str, Work]]:
    """Yield (name of a gallery, work) every second until all galleries have the results."""
    for gallery in names:
        for name in results:
            with working(galleries, gallery, name) as work:
                while work.running():
                    yield gallery, work


def prepare(galleries: Galleries) -> None:
    """Compute in the background what the tabs show first, once a gallery has loaded."""

    def run() -> None:
        for name in galleries.names:
            slow = [f"umap-{KINDS[0]}"] if name == galleries.names[0] else []
            with suppress(PairscopeError):  # the gallery has not loaded, or lacks what a result needs
                galleries.searcher(name)
                with ExitStack() as stack:
                    works = [
                        stack.enter_context(working(galleries, name, result))
                        for result in (*SHOWN_FIRST, *slow)
                    ]
                    for work in works:
                        with suppress(PairscopeError):
                            while work.running():
                                pass

    threading.Thread(target=run, name="prepare", daemon=True).start()


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
