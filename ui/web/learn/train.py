"""Train it: small heads that train in the browser, and recorded runs of whole models."""

from importlib.resources import files
from pathlib import Path

from ui.web.boundary.served import serve_file
from ui.web.galleries import Galleries
from ui.web.html import raw
from ui.web.learn.panel import Panel, module

DATA = Path(str(files("assets"))) / "learn"
"""What `benchmarks/learn_data.py` writes: the features to train on, and the recorded runs."""


def add_train(galleries: Galleries) -> None:
    """Add the panel to the open Blocks. The browser fetches the features once and trains by itself."""
    module(
        Path(__file__).with_name("train.js"),
        raw("learn_train.html"),
        features=serve_file(DATA / "features.safetensors"),
        runs=serve_file(DATA / "runs.json"),
        elem_id="train",
    )


TRAIN = Panel(
    "train",
    "Train it",
    "Train a small model in your browser and follow it through the alignment-uniformity plane.",
    "Tools",
    add_train,
)
