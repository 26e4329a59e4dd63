"""Worker processes of a torch `DataLoader` whose dataset returns complete batches or single records."""

import os
import signal
import threading
from multiprocessing import parent_process
from typing import TypeVar

Item = TypeVar("Item")


def identity_collate(item: Item) -> Item:
    """Return the item unchanged: torch's default would convert its arrays to tensors."""
    return item


def leave_signals_to_parent(worker: int) -> None:
    """Initialise a worker: it ignores Ctrl-C, and it ends when its parent process has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exit when the parent is gone: otherwise a worker waits forever to hand over its results."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
