"""Worker processes of a torch `DataLoader` whose dataset returns complete batches or single records."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from itr_core.errors import PairscopeError

if TYPE_CHECKING:
    from _typeshed import SupportsGetItem

Item = TypeVar("Item")


def load_in_order(
    items: "SupportsGetItem[int, Item]", numbers: Sequence[int], *, processes: int, **options: Any
) -> Iterator[Item]:
    """Load items in processes that are started now, and yield them in the order of `numbers`.

    Args:
        items: what is loaded.
        numbers: of the items.
        processes: how many load; 0 for this process.
        options: further options of `DataLoader`.

    Raises:
        PairscopeError: as `items` raised it; torch would put the traceback of the process into the message.
    """
    from torch.utils.data import DataLoader

    loader: DataLoader[Item | PairscopeError] = DataLoader(
        _WithErrors(items),  # type: ignore[arg-type]  # torch reads items by their numbers only
        batch_size=None,
        sampler=numbers,
        collate_fn=identity_collate,
        num_workers=processes,
        worker_init_fn=leave_signals_to_parent,
        **options,
    )
    return map(_item, iter(loader))


class _WithErrors(Generic[Item]):
    """Items, or the error that loading one has raised."""

    def __init__(self, items: "SupportsGetItem[int, Item]") -> None:
        self.items = items

    def __getitem__(self, number: int) -> Item | PairscopeError:
        try:
            return self.items[number]
        except PairscopeError as error:
            return error


def _item(loaded: Item | PairscopeError) -> Item:
    if isinstance(loaded, PairscopeError):
        raise loaded
    return loaded


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
