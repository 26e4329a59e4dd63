"""Small helpers that tests of several packages share."""

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
