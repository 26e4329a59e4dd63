"""Shared fixtures. The environment is set before any test imports a library that reads it."""

import os
import tempfile
from pathlib import Path

import pytest

_SCRATCH = tempfile.TemporaryDirectory(prefix="pairscope-tests-", ignore_cleanup_errors=True)
os.environ["PAIRSCOPE_CACHE"] = _SCRATCH.name  # tests never meet the user's own caches ...
os.environ["HF_DATASETS_CACHE"] = f"{_SCRATCH.name}/huggingface"
os.environ["HF_HUB_OFFLINE"] = "1"  # ... nor the network
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"


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
