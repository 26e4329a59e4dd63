"""Values of events: what a component can take, or refused with a message."""

import html
import logging
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction

log = logging.getLogger(__name__)

NEVER_NULL = (gr.Dropdown, gr.Radio, gr.Textbox)
"""Components that always have a value in a browser, if they have one to start with."""
MESSAGE_CHARACTERS = 300


class CheckedBlocks(gr.Blocks):
    """Blocks that refuse wrong values with a message, and write one line into the log.

    Gradio would write a traceback for each of them, and often give no reason to the sender.
    """

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Any], *args: Any, **kwargs: Any
    ) -> list[Any]:
        """Return the arguments of an event's function for the values that were sent.

        Raises:
            gr.Error: A value has the wrong type, is missing, or is none of a component's choices.
        """
        try:
            values: list[Any] = await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except gr.Error as error:
            raise _refusal(block_fn, error.message) from error
        except Exception as error:
            message = "A value of this request has the wrong type, or there are too few values."
            raise _refusal(block_fn, message) from error
        for block, value in zip(block_fn.inputs, values, strict=True):
            label = getattr(block, "label", "") or "a text"
            if value is None and isinstance(block, NEVER_NULL) and block.value is not None:
                raise _refusal(block_fn, f"A value is missing (null): {label}.")
            if _is_no_choice(block, value):
                raise _refusal(block_fn, f"Not one of the choices: {label} = {value!r}.")
        return values


def _is_no_choice(block: Any, value: Any) -> bool:
    """Return whether a value is none that a browser sends where one choice is made, although Gradio takes it.

    Gradio takes lists of choices, and True for 1.
    """
    if not isinstance(block, gr.Radio | gr.Dropdown) or (
        isinstance(block, gr.Dropdown) and block.multiselect
    ):
        return False
    return isinstance(value, list | dict | bool) and value not in [
        choice for _, choice in block.choices if type(choice) is type(value)
    ]


def _refusal(event: BlockFunction, message: str) -> gr.Error:
    """Return an error without traceback; pages show its message as HTML, so it is escaped."""
    log.warning("Refused the values of %s.", event.api_name)
    return gr.Error(html.escape(message[:MESSAGE_CHARACTERS], quote=False), print_exception=False)
