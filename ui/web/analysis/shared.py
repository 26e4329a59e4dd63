"""Plots and tables that are equal for all visitors, such as those of a class that opens one page together."""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

from analysis.gallery_analysis import GalleryAnalysis
from ui.web.own.visitors import OWN

T = TypeVar("T")
MOST = 32
"""Values of each name that are kept; the one that was used longest ago is dropped."""


class _Once:
    """A value that the first thread computes; threads that ask meanwhile wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: list[Any] = []

    def get(self, compute: Callable[[], Any]) -> Any:
        with self._lock:
            if not self._values:
                self._values.append(compute())
            return self._values[0]


_kept: defaultdict[str, OrderedDict[Hashable, _Once]] = defaultdict(OrderedDict)
_lock = threading.Lock()


def shared(
    name: str, analyses: Mapping[str, GalleryAnalysis], compute: Callable[[], T], *settings: Hashable
) -> T:
    """Return a value that is computed for the first visitor and must not be changed.

    A value of a visitor's own pictures is computed each time: nothing of them is kept for others.

    Gradio keeps in each session what it sent, and keeps an object that several sessions have once.

    Args:
        name: Of the value.
        analyses: The galleries that it depends on, by their names. A new build has another value.
        compute: Returns the value.
        settings: What else it depends on.
    """
    if OWN in analyses:
        return compute()
    # By checksums, so that a key keeps no gallery in memory that was built again.
    galleries = tuple((each, analysis.gallery.manifest.checksum) for each, analysis in analyses.items())
    key = galleries, settings
    with _lock:
        kept = _kept[name]
        once = kept.setdefault(key, _Once())
        kept.move_to_end(key)
        if len(kept) > MOST:
            kept.popitem(last=False)
    value: T = once.get(compute)
    return value
