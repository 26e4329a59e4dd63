"""What every tab of the analysis page needs: the results of a gallery, or what to say while it is made."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from analysis.gallery_analysis import GalleryAnalysis
from ui.web import html
from ui.web.analysis.jobs import Stop
from ui.web.galleries import Galleries


class Tab(NamedTuple):
    """What a tab shows: `show(names, *inputs)` yields values for `outputs`; several if it takes long."""

    show: Callable[..., Generator[tuple[Any, ...]]]
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    stop: Stop | None = None
    linked: Callable[[Mapping[str, str]], Sequence[Any] | None] | None = None
    """The parameters of a link -> values for `inputs`, where the link is to this tab."""


class Desk:
    """The shelf's galleries as analyses."""

    def __init__(self, galleries: Galleries) -> None:
        self.galleries = galleries

    def await_ready(self, names: list[str]) -> Iterator[str]:
        """Say how far galleries are that are still being made, until there is none."""
        for name in names:
            while (progress := self.galleries.progress(name)) is not None:
                yield html.waiting(name, *progress)
                time.sleep(0.7)
        yield ""

    def of(self, name: str) -> GalleryAnalysis:
        """The analysis of a gallery; PairscopeError where there is none (yet)."""
        return self.galleries.analysis(name)
