"""Sessions share the configuration of components that they have not changed."""

from unittest.mock import patch

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from tests.ui.async_calls import run_async
from ui.web.boundary.configuration import SharedConfig


@pytest.fixture
def app() -> gr.Blocks:
    async def build() -> gr.Blocks:
        app = gr.Blocks(analytics_enabled=False)
        app.default_config = SharedConfig(app)
        with app:
            box, page = gr.Textbox(value="words", label="Query"), gr.HTML("<p>Results</p>")
            box.submit(lambda words: words, box, page)
        with app.route("Other", "/other"):
            gr.Dropdown(["a", "b"], value="a", label="Gallery")
        return app

    return run_async(build())  # without a running event loop, Gradio leaves one unclosed


def test_sessions_have_the_configuration_that_gradio_computes(app: gr.Blocks) -> None:
    shared = [SessionState(app) for _ in range(2)]
    own = app.default_config
    assert isinstance(own, SharedConfig)
    theirs = {id_: own.config_for_block(id_, [], block) for id_, block in app.blocks.items()}
    assert len(theirs) >= 3
    for session in shared:
        assert session.config_values == theirs


def test_only_the_first_session_computes_it(app: gr.Blocks) -> None:
    SessionState(app)
    with patch.object(gr.HTML, "get_config", side_effect=AssertionError("computed again")):
        SessionState(app)


def test_what_a_session_changes_is_its_own(app: gr.Blocks) -> None:
    id_, box = next((id_, block) for id_, block in app.blocks.items() if isinstance(block, gr.Textbox))
    one, other = SessionState(app), SessionState(app)
    before = other.config_values[id_]["props"].get("value")
    one._update_value_in_config(id_, "mine")
    assert other.config_values[id_]["props"].get("value") == before
    one[id_] = gr.Textbox(label="changed", render=False)
    one._update_config(id_)
    assert one.config_values[id_]["props"]["label"] == "changed"
    for session in (other, SessionState(app)):
        assert session.config_values[id_]["props"]["label"] == box.label
        assert session.config_values[id_]["props"].get("value") == before
