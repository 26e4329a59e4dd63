"""The type of progress callbacks."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with (steps done, total steps). An exception that it raises stops the work."""
