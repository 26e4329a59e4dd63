"""Images of a source, with thumbnails and the encoder's input, prepared ahead of time by other processes."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from multiprocessing import current_process
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from itr_core.errors import ImageError
from itr_core.system.workers import load_in_order

if TYPE_CHECKING:
    from itr_core.pairs import PairSet

THUMBNAIL_SIDE = 320
"""Longest side of a thumbnail in pixels."""
AHEAD = 32
"""Number of images that are prepared before they are requested."""


class PreparedImage(NamedTuple):
    """An image of a source with the encoder's input."""

    width: int
    height: int
    thumbnail: bytes
    """A WebP file."""
    pixels: np.ndarray
    """(3, H, W) uint8, from `Encoder.prepare`."""


class UnusableImage(NamedTuple):
    """An image of a source that cannot be decoded."""

    reason: str


def prepared_images(
    pairs: "PairSet", rows: Sequence[int], prepare: Callable[[Image.Image], np.ndarray]
) -> Iterator[PreparedImage | UnusableImage]:
    """Prepare the images of a source in worker processes, which are started now.

    Args:
        pairs: the source.
        rows: of the images.
        prepare: `Encoder.prepare`.

    Returns:
        An iterator over the images of these rows, in their order.
    """
    workers = preparing_processes()
    return load_in_order(
        _PreparedImages(pairs, prepare),
        rows,
        processes=workers,
        multiprocessing_context="fork" if workers else None,
        prefetch_factor=max(2, AHEAD // workers) if workers else None,
    )


def preparing_processes() -> int:
    """Return the number of processes that prepare images; 0 if this process must do it.

    It is half of the cores, because images are encoded at the same time.
    """
    # Processes, because rendering holds the interpreter's lock. Forked, because that is fast and needs no
    # guarded main module. Where forking is unsafe (macOS) or impossible (Windows), this process prepares the
    # images itself.
    # A process that must end with its parent (daemon) may have none of its own.
    can_fork = sys.platform == "linux" and not current_process().daemon
    return max(1, len(os.sched_getaffinity(0)) // 2) if can_fork else 0


def prepared_in_threads(
    pairs: "PairSet",
    rows: Sequence[int],
    prepare: Callable[[Image.Image], np.ndarray],
    *,
    threads: int,
) -> Iterator[PreparedImage | UnusableImage]:
    """Yield images of a source in order, prepared in threads of a process that cannot be forked.

    Args:
        pairs: the source.
        rows: of the images.
        prepare: see `prepared_images`.
        threads: number of images that are prepared at a time; 0 for one.
    """
    images = _PreparedImages(pairs, prepare)
    waiting: deque[Future[PreparedImage | UnusableImage]] = deque()
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for row in rows:
            waiting.append(pool.submit(images.__getitem__, row))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _PreparedImages:
    def __init__(self, pairs: "PairSet", prepare: Callable[[Image.Image], np.ndarray]) -> None:
        self.pairs = pairs
        self.prepare = prepare

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, row: int) -> PreparedImage | UnusableImage:
        try:
            image = self.pairs.image(row)
        except ImageError as error:
            return UnusableImage(str(error).removeprefix(f"{self.pairs.image_ids[row]}: "))
        return PreparedImage(image.width, image.height, _thumbnail(image), self.prepare(image))


def _thumbnail(image: Image.Image) -> bytes:
    small = image.copy()
    # Hamming's filter is about as sharp as the default, in half the time.
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.HAMMING, reducing_gap=2.0)
    out = BytesIO()
    small.save(out, "WEBP", quality=80, method=0)
    return out.getvalue()
