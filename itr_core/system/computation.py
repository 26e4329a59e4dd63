"""A computation in a process of its own, which can be killed at any time."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import connection, get_context
from multiprocessing.reduction import ForkingPickler
from typing import Any, Generic, TypeVar

from itr_core.system.workers import leave_signals_to_parent

T = TypeVar("T")

# A fork of the parent could inherit a lock that one of its threads holds. The forkserver has one thread, and
# its forks need no time to import modules. Elsewhere, libraries of the system do not survive a fork.
_CONTEXT: Any = get_context("forkserver" if sys.platform == "linux" else "spawn")


def preload(modules: Sequence[str]) -> None:
    """Name the modules that the forkserver imports once, for all computations that start after this call."""
    if _CONTEXT.get_start_method() == "forkserver":
        _CONTEXT.set_forkserver_preload(list(modules))


class Computation(Generic[T]):
    """One call of a function in another process.

    Progress and result are messages in a pipe of their own: the process shares no lock and no queue with its
    parent or with other computations, so killing it harms none of them.

    Args:
        function: A module's function; called with `args` and `progress`, see `itr_core.system.progress`.
        args: Arguments that can be pickled.

    Attributes:
        done: Number of steps done.
        total: Number of steps in total; 0 until it is known.
    """

    def __init__(self, function: Callable[..., T], *args: Any) -> None:
        self.done = self.total = 0
        self._messages, results = _CONTEXT.Pipe(duplex=False)
        with results:  # its end in this process: the pipe must close when the other process ends
            self._process = _CONTEXT.Process(target=_run, args=(results, function, args), daemon=True)
            self._process.start()

    def result(self) -> T:
        """Wait for the result.

        Raises:
            Exception: The function raised it, or another one that cannot be pickled (RuntimeError).
            RuntimeError: The process was killed.
        """
        with self._messages:
            while True:
                try:
                    kind, value = self._messages.recv()
                except (EOFError, OSError):  # nothing more, or only a part of a message
                    self._process.join()
                    status = self._process.exitcode
                    raise RuntimeError(f"The computation ended with exit status {status}.") from None
                if kind == "progress":
                    self.done, self.total = value
                    continue
                self._process.join()
                if kind == "error":
                    raise value
                return value

    def kill(self) -> None:
        """End the process now; a thread that waits in `result` gets a RuntimeError."""
        self._process.kill()


def _run(results: "connection.Connection", function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Call the function and send its progress and its result."""
    leave_signals_to_parent(0)
    if hasattr(os, "nice"):
        os.nice(5)  # the parent answers first
    try:
        value = function(*args, progress=lambda done, total: results.send(("progress", (done, total))))
        results.send(("result", value))
    except Exception as error:
        results.send(("error", _sendable(error)))


def _sendable(error: Exception) -> Exception:
    """Return the error with its traceback as a note, or another one if it cannot be pickled and unpickled."""
    text = traceback.format_exc()
    error.add_note(text)
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))  # as the pipe does it
    except Exception:
        return RuntimeError(text)
    return error
