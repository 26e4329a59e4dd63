"""Shared fixtures. The environment is set before any test imports a library that reads it."""

import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from PIL import Image

from tests import slow_suites

_SCRATCH = tempfile.TemporaryDirectory(prefix="pairscope-tests-", ignore_cleanup_errors=True)
os.environ["PAIRSCOPE_CACHE"] = _SCRATCH.name  # tests never meet the user's own caches ...
os.environ["HF_DATASETS_CACHE"] = f"{_SCRATCH.name}/huggingface"
os.environ["HF_HUB_OFFLINE"] = "1"  # ... nor the network
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # models as small as the tests' only wait for a second thread

hypothesis.settings.register_profile("tests", deadline=None)  # a busy machine is not a failure
hypothesis.settings.load_profile("tests")


class _Loggers(dict[str, Any]):
    """Loggers by name. Pytest reads them before each test, while threads of the app import modules."""

    def values(self) -> Any:
        """Return a copy, which a new logger does not change."""
        return list(super().values())


logging.root.manager.loggerDict = _Loggers(logging.root.manager.loggerDict)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a table of the slow tests that have run, and the figures that they have measured."""
    stats = terminalreporter.stats.values()
    reports = [each for group in stats for each in group if isinstance(each, pytest.TestReport)]
    rows = slow_suites.table(reports)
    if rows:
        terminalreporter.section("slow tests")
        terminalreporter.line(f"{'suite':8}{'tests':>8}{'passed':>8}{'failed':>8}{'minutes':>9}")
        for row in rows:
            terminalreporter.line(f"{row.suite:8}{row.tests:8}{row.passed:8}{row.failed:8}{row.minutes:9.1f}")
        for figure in slow_suites.figures(reports):
            terminalreporter.line(figure)


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Let another thread run between any two steps of a computation, instead of every 5 ms."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real evaluation data (photos that may not be in the repository)."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("PAIRSCOPE_DATA") or default)
    if not (folder / "coco_sample").is_dir():
        pytest.skip(
            f"no evaluation data in {folder}; set PAIRSCOPE_DATA to the folder that holds coco_sample/"
        )
    return folder


COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 220), "yellow": (230, 220, 40)}
SHAPE = {"width": 32, "layers": 2}
TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "head_width": 16, **SHAPE},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "heads": 2, **SHAPE},
}


@pytest.fixture(scope="session")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the architecture `tiny`, known to open_clip here and in processes that tests start."""
    import open_clip

    folder = tmp_path_factory.mktemp("configs")
    (folder / "tiny.json").write_text(json.dumps(TINY))
    convolutional = {"timm_model_name": "test_efficientnet", "timm_pool": "avg", "image_size": 32}
    (folder / "tiny-conv.json").write_text(json.dumps(TINY | {"vision_cfg": convolutional}))
    resnet = {"layers": [1, 1, 1, 1], "width": 8, "image_size": 32}
    (folder / "tiny-resnet.json").write_text(json.dumps(TINY | {"vision_cfg": resnet}))
    open_clip.add_model_config(folder)
    return folder


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 pictures: a sky of one colour over a ground of another, the ground's height one of four."""
    folder = tmp_path_factory.mktemp("world")
    lines = []
    for index in range(64):
        names = list(COLOURS)
        sky, ground, height = names[index % 4], names[index // 4 % 4], index // 16
        pixels = np.zeros((32, 32, 3), np.uint8)
        pixels[:] = COLOURS[sky]
        pixels[28 - 7 * height :] = COLOURS[ground]
        name = f"{index:02}.png"
        Image.fromarray(pixels).save(folder / name)
        tall = ["flat", "low", "high", "mountainous"][height]
        texts = [f"a {sky} sky over {tall} {ground} ground", f"{tall} {ground} land, {sky} above"]
        lines.append(json.dumps({"file_name": name, "captions": texts}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder
