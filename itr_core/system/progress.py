"""How long work reports its progress."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all). An exception that it raises ends the work."""
