"""What a long loop must do about memory."""

import ctypes
from contextlib import suppress


def release_freed_memory() -> None:
    """Give what was freed back to the system, where the C library can (glibc); a few milliseconds.

    Batches of texts have ever new lengths, so each leaves holes in the heap that no later one fits: without
    this a training process of 1 GB has grown by 13 MB per step.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
