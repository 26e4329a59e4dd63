"""The configuration of the app's components, computed once for all sessions."""

from typing import Any

import gradio as gr
from gradio.blocks import Block, BlocksConfig
from gradio.renderable import Renderable


class SharedConfig(BlocksConfig):
    """What Gradio keeps of the components of an app, and in a copy, of those of a session.

    Each visitor, and each call of the API, has a session with the configuration of all components. Gradio
    computes it for each of them, which took half of the processor time of a call. Here it is computed for the
    first session; the others share it, except for components that were changed in a session.

    Args:
        root_block: the app.
        computed: component id -> configuration, shared by all copies.
    """

    def __init__(self, root_block: gr.Blocks, computed: dict[int, dict[str, Any]] | None = None) -> None:
        super().__init__(root_block)
        self._computed = {} if computed is None else computed

    def __copy__(self) -> "SharedConfig":
        copied = SharedConfig(self.root_block, self._computed)
        copied.__dict__.update(super().__copy__().__dict__)  # type: ignore[no-untyped-call]  # as Gradio has it
        return copied

    def config_for_block(  # type: ignore[override]  # Gradio calls it on instances only
        self, _id: int, rendered_ids: list[int], block: Block, renderable: Renderable | None = None
    ) -> dict[str, Any]:
        """Return the configuration of a component, which the caller may change."""
        app = self.root_block
        if self is app.default_config or renderable or app.blocks.get(_id) is not block:
            return super().config_for_block(_id, rendered_ids, block, renderable)
        if _id not in self._computed:
            self._computed[_id] = super().config_for_block(_id, rendered_ids, block)
        config = self._computed[_id]
        return {**config, "props": dict(config["props"])}  # sessions replace the values in it
