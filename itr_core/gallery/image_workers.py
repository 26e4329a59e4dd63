"""The pictures of a source, ready for a model and for a page, made by other processes ahead of need."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from itr_core.errors import ImageError
from itr_core.system.signals import leave_signals_to_parent

if TYPE_CHECKING:
    from itr_core.pairs import PairSet

LONGEST = 320
"""Longest side of a thumbnail, pixels."""
AHEAD = 32
"""Pictures that are made before they are taken."""


class Picture(NamedTuple):
    """One image of a source: pixels for the encoder, size, thumbnail as WebP; or the reason why not."""

    pixels: np.ndarray | None
    """What `DualEncoder.prepare` made of it, (3, H, W) uint8."""
    width: int = 0
    height: int = 0
    thumbnail: bytes = b""
    reason: str = ""


@contextmanager
def pictures(
    pairs: "PairSet",
    start: int,
    prepare: Callable[[Image.Image], np.ndarray],
    *,
    beside_encoding: bool = True,
) -> Iterator[Iterator[Picture]]:
    """Give an iterator over the pictures from row `start` on, in order; `prepare` makes their pixels.

    Beside encoding, half of the cores make pictures and torch keeps to the other half: threads that share a
    core with another process spend most of their time waiting for each other.
    """
    # Not threads, as drawing holds the interpreter's lock; forked, as that takes no time and needs no guarded
    # main module. Where forking is unsafe (macOS) or unknown (Windows), this process does the work.
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 0
    workers = max(1, cores // 2) if beside_encoding and cores else cores
    loader: DataLoader = DataLoader(
        _Pictures(pairs, prepare),
        batch_size=None,
        sampler=range(start, len(pairs)),
        collate_fn=identity_collate,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
        prefetch_factor=max(2, AHEAD // workers) if workers else None,
        worker_init_fn=leave_signals_to_parent,
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads - workers))
    try:
        yield iter(loader)
    finally:
        torch.set_num_threads(threads)


class _Pictures(Dataset):
    def __init__(self, pairs: "PairSet", prepare: Callable[[Image.Image], np.ndarray]) -> None:
        self.pairs = pairs
        self.prepare = prepare

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, row: int) -> Picture:
        try:
            image = self.pairs.image(row)
        except ImageError as error:
            return Picture(None, reason=str(error).removeprefix(f"{self.pairs.image_ids[row]}: "))
        return Picture(self.prepare(image), image.width, image.height, _thumbnail(image))


def identity_collate(picture: Any) -> Any:
    return picture


def _thumbnail(image: Image.Image) -> bytes:
    small = image.copy()
    small.thumbnail((LONGEST, LONGEST), reducing_gap=2.0)
    out = BytesIO()
    small.save(out, "WEBP", quality=80, method=0)
    return out.getvalue()
