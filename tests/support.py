"""Small helpers that tests of several packages share."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

Paint = Callable[..., Path]
"""The fixture `paint`: (file name, colour) -> path of a new image of that colour."""


def present(value: T | None) -> T:
    """Return a value that the test expects to exist; fail if it is None."""
    assert value is not None
    return value


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until a condition is true; fail if it is still false after some time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "The condition did not become true."
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
    """Return true if no process has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
