"""What every tab of the analysis page needs: the results of a gallery, or what to say while it is made."""

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

import gradio as gr

from analysis.precompute import Analysis
from ui.pages import cards
from ui.pages.shelf import Shelf

T = TypeVar("T")


class Wiring(NamedTuple):
    """What a tab shows: `show(names, *inputs)` yields values for `outputs`; several if it takes long."""

    show: Callable[..., Generator[tuple[Any, ...]]]
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    stop: tuple[Any, tuple[Any, ...]] | None = None
    """A button that ends the work, and values for `outputs` then."""
    linked: Callable[[Mapping[str, str]], Sequence[Any] | None] | None = None
    """The parameters of a link -> values for `inputs`, where the link is to this tab."""


class Desk:
    """The shelf's galleries as analyses."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._stops: dict[str, threading.Event] = {}

    def until_stopped(self, request: gr.Request, steps: Generator[T], ended: T) -> Iterator[T]:
        """Yield the steps of long work until the visitor presses stop, then `ended`.

        Gradio can cancel an event, too, but then waits for its end before it answers the next of its kind.
        """
        stop = self._stops[str(request.session_hash)] = threading.Event()
        with closing(steps):
            for step in steps:
                yield step
                if stop.is_set():
                    yield ended
                    return

    def stop(self, request: gr.Request) -> None:
        """End what the visitor is waiting for."""
        if stop := self._stops.get(str(request.session_hash)):
            stop.set()

    def await_ready(self, names: list[str]) -> Iterator[str]:
        """Say how far galleries are that are still being made, until there is none."""
        for name in names:
            while (progress := self.shelf.progress(name)) is not None:
                yield cards.waiting(name, *progress)
                time.sleep(0.7)
        yield ""

    def of(self, name: str) -> Analysis:
        """The analysis of a gallery; PairscopeError where there is none (yet)."""
        return self.shelf.analysis(name)
