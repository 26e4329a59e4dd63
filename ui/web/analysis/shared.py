"""Plots and tables that are equal for all visitors, such as those of a class that opens one page together."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

from analysis.gallery_analysis import GalleryAnalysis

T = TypeVar("T")
MOST = 32
"""Values that are kept; the one that was used longest ago is dropped."""
_kept: OrderedDict[Hashable, Any] = OrderedDict()
_lock = threading.Lock()


def shared(
    name: str, analyses: Mapping[str, GalleryAnalysis], compute: Callable[[], T], *settings: Hashable
) -> T:
    """Return a value that is computed for the first visitor and must not be changed.

    Gradio keeps what it sent in each session, and keeps an object that several sessions have once.

    Args:
        name: Of the value.
        analyses: The galleries that it depends on, by their names. After a new build, the
            value is another one.
        compute: Returns the value.
        settings: What else it depends on.
    """
    # By checksums, so that the key does not keep the pictures of a visitor who has left in memory.
    galleries = tuple((each, analysis.gallery.manifest.checksum) for each, analysis in analyses.items())
    key = name, galleries, settings
    with _lock:
        if key not in _kept:
            _kept[key] = compute()
        _kept.move_to_end(key)
        while len(_kept) > MOST:
            _kept.popitem(last=False)
        return _kept[key]
