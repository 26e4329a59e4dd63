"""Errors of handlers: what visitors and programs read, and what stays in the log."""

import inspect
import logging
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from itr_core.errors import ImageError, QueryError
from ui.web.errors import UNEXPECTED, as_gradio_error, message_of, show_errors
from ui.web.html import event_value

SECRET = "/srv/secret/weights.bin"


def test_errors_of_pairscope_are_shown_and_others_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert message_of(QueryError("Type a few words.")) == "Type a few words."
    assert (
        message_of(ImageError("empty file (0 bytes)")) == "This picture cannot be used: empty file (0 bytes)."
    )
    for_operators = QueryError(SECRET)
    for_operators.add_note("The gallery could not be opened.")
    assert message_of(for_operators) == "The gallery could not be opened."
    of_another_process = QueryError("Type a few words.")
    of_another_process.add_note(f"Traceback (most recent call last):\n  File {SECRET}")
    assert message_of(of_another_process) == "Type a few words."
    assert caplog.records == []
    with caplog.at_level(logging.ERROR):
        assert message_of(OSError(SECRET)) == UNEXPECTED
    assert SECRET in caplog.text


@pytest.mark.parametrize("error", [QueryError("no"), OSError(SECRET)])
def test_a_function_returns_outputs_for_its_error(error: Exception) -> None:
    @show_errors(lambda message: (message, gr.skip()))
    def handler(query: str, event: gr.EventData) -> tuple[Any, ...]:
        raise error

    message, unchanged = handler("a dog", gr.EventData(None, {}))
    assert message == message_of(error)
    assert unchanged == gr.skip()
    assert list(inspect.signature(handler).parameters) == ["query", "event"]  # Gradio reads them


def test_a_generator_yields_outputs_for_its_error() -> None:
    closed = []

    @show_errors(lambda message: message)
    def handler(count: int) -> Iterator[str]:
        try:
            for step in range(count):
                yield str(step)
            raise QueryError("no")
        finally:
            closed.append(count)

    assert inspect.isgeneratorfunction(handler)  # otherwise Gradio would not stream its steps
    assert list(handler(2)) == ["0", "1", "no"]
    steps = handler(3)
    next(steps)
    steps.close()
    assert closed == [2, 3]


def test_programs_get_a_gradio_error_without_internals() -> None:
    @as_gradio_error
    def handler(error: Exception) -> None:
        raise error

    with pytest.raises(gr.Error, match="Type a few words") as refused:
        handler(QueryError("Type a few words."))
    assert refused.value.print_exception is False
    with pytest.raises(gr.Error) as failed:
        handler(OSError(SECRET))
    assert failed.value.message == UNEXPECTED


@pytest.mark.parametrize("sent", [None, [], ["item"], "item", 7, {}, {"other": 1}])
def test_missing_values_of_events_are_none(sent: Any) -> None:
    assert event_value(gr.EventData(None, sent), "item") is None


def test_values_of_events_are_returned() -> None:
    assert event_value(gr.EventData(None, {"item": [1, "x"]}), "item") == [1, "x"]
