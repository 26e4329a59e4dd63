"""Python's search for garbage: objects that refer to each other and that nothing else refers to."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_search() -> Iterator[None]:
    """Search no garbage while the block imports modules or loads a model.

    Importing torch and open_clip makes a million objects, which all stay. Python would look through them
    eight times until all are there: a quarter of the processor time of a short command.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # together with the next line: everything counts as old, without a look at it
        gc.unfreeze()
        gc.enable()
