"""How an error of a handler reaches people: as a note on the page, or as an error of the API."""

import inspect
import logging
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, TypeVar, cast

import gradio as gr

from itr_core.errors import ImageError, PairscopeError

log = logging.getLogger(__name__)

Handler = TypeVar("Handler", bound=Callable[..., Any])

UNEXPECTED = "An unexpected error occurred. The server's log has the details."


def message_of(error: Exception) -> str:
    """Return what visitors and programs read about an error.

    The text of a `PairscopeError` is written for them, unless it has a note (`add_note`) that is. Any other
    error is a defect: its traceback goes to the log, and its text, which may contain paths of the server,
    stays there.
    """
    if isinstance(error, ImageError):
        return f"This picture cannot be used: {error}."
    if isinstance(error, PairscopeError):
        notes = getattr(error, "__notes__", ())
        # An error of another process has its traceback as a note: see itr_core.system.computation.
        return "\n".join(note for note in notes if not note.startswith("Traceback")) or str(error)
    log.error("Unexpected error in a handler.", exc_info=error)
    return UNEXPECTED


def show_errors(outputs: Callable[[str], Any]) -> Callable[[Handler], Handler]:
    """Return a decorator for event handlers (functions or generators) that shows errors on the page.

    Args:
        outputs: called with the message of an error; returns the values of all outputs of the handler.
    """

    def decorate(handler: Handler) -> Handler:
        if inspect.isgeneratorfunction(handler):

            @wraps(handler)
            def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
                try:
                    yield from handler(*args, **kwargs)
                except Exception as error:
                    yield outputs(message_of(error))

            return cast(Handler, steps)

        @wraps(handler)
        def answer(*args: Any, **kwargs: Any) -> Any:
            try:
                return handler(*args, **kwargs)
            except Exception as error:
                return outputs(message_of(error))

        return cast(Handler, answer)

    return decorate


def as_gradio_error(handler: Handler) -> Handler:
    """Decorate a handler of the API: errors become `gr.Error`, whose message Gradio sends to the program."""

    @wraps(handler)
    def answer(*args: Any, **kwargs: Any) -> Any:
        try:
            return handler(*args, **kwargs)
        except Exception as error:
            raise gr.Error(message_of(error), print_exception=False) from error

    return cast(Handler, answer)
