"""What Gradio keeps of sessions: nothing once they have ended, and little as long as they last."""

import time
from collections.abc import Iterator

import gradio as gr
import httpx
import pytest
from starlette.middleware import Middleware

from tests.support import wait_until
from tests.ui.async_calls import run_async
from tests.ui.server import http_client
from ui.web.boundary.memory import ENVIRONMENT, Memory

# Gradio tries whether a port is free with a socket that it does not close.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket")


@pytest.fixture(scope="module")
def blocks() -> Iterator[gr.Blocks]:
    """Serve an app with one event, which returns a large value."""

    def slowly(text: str) -> list[str]:
        time.sleep(0.5)
        return [text]

    async def serve() -> gr.Blocks:
        with gr.Blocks(analytics_enabled=False) as blocks:
            text, value = gr.Textbox(), gr.JSON()
            text.submit(lambda text: [text] * 1000, text, value, api_name="repeat")
            text.submit(slowly, text, value, api_name="slowly")
        blocks.queue().launch(
            prevent_thread_lock=True, quiet=True, app_kwargs={"middleware": [Middleware(Memory)]}
        )
        return blocks

    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        blocks = run_async(serve())  # without a running event loop, Gradio leaves one unclosed
    yield blocks
    blocks.close()


@pytest.fixture
def http(blocks: gr.Blocks) -> Iterator[httpx.Client]:
    with http_client(blocks.local_api_url) as client:
        yield client


def sessions(blocks: gr.Blocks) -> set[str]:
    """Return the sessions of which Gradio keeps anything."""
    queue = blocks._queue
    return {
        *blocks.state_holder.session_data,
        *queue.pending_messages_per_session,
        *queue.pending_event_ids_session,
    }


def test_a_call_of_the_api_leaves_nothing(blocks: gr.Blocks, http: httpx.Client) -> None:
    for _ in range(5):
        event = http.post("/call/repeat", json={"data": ["dog"]}).json()["event_id"]
        assert "complete" in http.get(f"/call/repeat/{event}").text
    wait_until(lambda: sessions(blocks) == set())
    assert len(blocks._queue.event_analytics) <= 1


def test_a_page_is_kept_until_it_is_closed(blocks: gr.Blocks, http: httpx.Client) -> None:
    with http.stream("GET", "/heartbeat/page") as heartbeat:
        lines = heartbeat.iter_lines()  # kept: the stream is closed with its iterator
        assert next(lines)
        for _ in range(3):
            http.post("/queue/join", json={"data": ["dog"], "fn_index": 0, "session_hash": "page"})
            assert "process_completed" in http.get("/queue/data", params={"session_hash": "page"}).text
        assert sessions(blocks) == {"page"}
    wait_until(lambda: sessions(blocks) == set())


@pytest.mark.parametrize("events", [1, 3])
def test_events_of_a_page_that_was_closed_end_without_an_error(
    events: int, blocks: gr.Blocks, http: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    with http.stream("GET", "/heartbeat/left") as heartbeat:
        lines = heartbeat.iter_lines()
        assert next(lines)
        for _ in range(events):  # one at a time: the others wait
            http.post("/queue/join", json={"data": ["dog"], "fn_index": 1, "session_hash": "left"})
        wait_until(lambda: any(blocks._queue.active_jobs))
    wait_until(lambda: not any(blocks._queue.active_jobs) and not len(blocks._queue))
    assert sessions(blocks) == set()
    assert "Traceback" not in capfd.readouterr().err
