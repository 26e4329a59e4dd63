"""Wrong values of events are refused with a message, without a traceback."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradio as gr
import pytest

from ui.web.boundary.values import CheckedBlocks
from ui.web.search.picture_box import picture_box


def arguments(*sent: Any) -> list[Any]:
    """Return what the function of an event receives for the values that were sent."""

    async def receive() -> list[Any]:
        with CheckedBlocks(analytics_enabled=False) as blocks:
            name = gr.Dropdown(["cats", "dogs"], value="cats", label="Gallery")
            side = gr.Radio(["left", "right", 1], label="Side")
            gr.Button().click(lambda *values: None, [name, side, gr.Textbox(""), picture_box()])
        return await blocks.preprocess_data(blocks.fns[0], list(sent), None)

    # Without a running event loop, Gradio creates one and leaves it unclosed; this thread may have one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(receive())).result()


def test_right_values_are_passed_on() -> None:
    assert arguments("dogs", "left", "text", None) == ["dogs", "left", "text", None]
    assert arguments("cats", None, "", None) == ["cats", None, "", None]  # no side was chosen yet
    assert arguments("cats", 1, "", None) == ["cats", 1, "", None]
    assert arguments("cats", None, 7, None) == ["cats", None, "7", None]


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (["birds", "left", "", None], "birds is not in the list of choices: .'cats', 'dogs'."),
        ([["cats", "x"], "left", "", None], "'x' .* is not in the list of choices"),
        ([{"a": 1}, "left", "", None], "not in the list of choices"),
        ([["cats"], "left", "", None], r"Not one of the choices: Gallery = \['cats'\]\."),
        (["cats", True, "", None], "Not one of the choices: Side = True."),
        (["cats", 7, "", None], "7 .* is not in the list of choices"),
        ([None, "left", "", None], "missing .null.: Gallery"),
        (["cats", "left", None, None], "missing .null.: a text"),
        (["cats", "left", "", 7], "wrong type"),
        (["cats", "left", "", ["a"]], "wrong type"),
        (["cats", "left"], "too few values"),
        (["<img src=x>", "left", "", None], "&lt;img src=x&gt;"),
        (["x" * 9000, "left", "", None], "Value: x{293}.$"),
    ],
)
def test_wrong_values_are_refused(sent: list[Any], message: str) -> None:
    with pytest.raises(gr.Error, match=message) as refused:
        arguments(*sent)
    assert refused.value.print_exception is False
