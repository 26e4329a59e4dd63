"""Small helpers that tests of several packages share."""

from typing import TypeVar

T = TypeVar("T")


def present(value: T | None) -> T:
    """Return a value that the test expects to exist; fail if it is None."""
    assert value is not None
    return value
