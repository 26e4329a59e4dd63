"""Shared fixtures. Environment variables are set before any test imports a library that reads them."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

_SCRATCH = tempfile.TemporaryDirectory(prefix="pairscope-tests-", ignore_cleanup_errors=True)
os.environ["PAIRSCOPE_CACHE"] = _SCRATCH.name  # not the caches of the user
os.environ["HF_DATASETS_CACHE"] = f"{_SCRATCH.name}/huggingface"
os.environ["HF_HUB_OFFLINE"] = "1"  # no network
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # the models of the tests are too small for two threads


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real evaluation data (photos that cannot be in the repository)."""
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
    """Register tiny architectures with open_clip and return the folder of their configurations."""
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
    """Write 64 images: a sky of one colour above ground of another colour at one of four heights."""
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
