"""About: what Pairscope is, what its built-in world is, its models, versions and licence."""

import os
import platform
from importlib.metadata import version
from typing import Any

from itr_core.encoders.model_cards import card_figures
from ui.web.galleries import Galleries

FIGURES = {"full_t2i_r1": "R@1, full captions", "t2i_r1": "T2I R@1", "i2t_r1": "I2T R@1", "rsum": "rSum"}
"""Figure of a model card -> heading of its column."""
PACKAGES = {"Pairscope": "pairscope", "Gradio": "gradio", "PyTorch": "torch", "OpenCLIP": "open_clip_torch"}


PAPERS = {
    "CLIP": "2103.00020",
    "alignment and uniformity": "2005.10242",
    "CODER": "2208.09843",
    "AsCL": "2405.10029",
    "CUSA": "2403.05261",
}
"""Title -> number on arXiv."""


def about(galleries: Galleries) -> dict[str, Any]:
    """Return the values of the template `about.html`."""
    chosen = [galleries.choice(name) for name in galleries.all_names]
    figures = {each.model: card_figures(each.spec or "") for each in chosen}
    versions = {title: version(name) for title, name in PACKAGES.items()}
    space = os.environ.get("SPACE_ID", "")
    return {
        "synthetic": any(each.synthetic for each in chosen),
        "columns": FIGURES,
        "figures": {model: known for model, known in figures.items() if known},
        "versions": versions | {"Python": platform.python_version()},
        "papers": PAPERS,
        "source": f"https://huggingface.co/spaces/{space}/tree/main" if space else "",
    }
