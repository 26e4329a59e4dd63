"""Commands that are killed at random moments leave whole files, and the same command finishes the work."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from itr_core.encoders.checksums import CHECKSUMS, damage
from itr_core.gallery import Gallery

pytestmark = [pytest.mark.slow, pytest.mark.kill]

ROOT = Path(__file__).parents[2]
KILLS = 8
MODEL = "picturebook-vit/none"


def pairscope(*arguments: object, cache: Path, seconds: float | None = None) -> str | None:
    """Run a command; return its output, or None if it was killed after `seconds`."""
    command = [sys.executable, "-m", "ui.cli", *map(str, arguments)]
    environment = os.environ | {"PAIRSCOPE_CACHE": str(cache)}
    try:
        ran = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=seconds, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:  # run() has sent SIGKILL
        return None
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def moments(seconds: float) -> list[float]:
    """Return moments of a command that takes `seconds`; the first third is spent on imports."""
    return [random.Random(number).uniform(seconds / 3, seconds) for number in range(KILLS)]


def paint(folder: Path, shade: int) -> Path:
    folder.mkdir()
    for number in range(24):
        Image.new("RGB", (32, 32), (shade, 10 * number, 0)).save(folder / f"{number:02}.png")
    lines = [json.dumps({"file_name": f"{n:02}.png", "caption": f"shade {n}"}) for n in range(24)]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def test_builds(tmp_path: Path) -> None:
    sources = [f"folder:{paint(tmp_path / name, shade)}" for name, shade in (("one", 0), ("two", 255))]
    target = tmp_path / "galleries" / "g"
    start = time.monotonic()
    pairscope("build", sources[0], "--model", MODEL, "--out", target, cache=tmp_path)
    for number, seconds in enumerate(moments(time.monotonic() - start)):
        source = sources[(number + 1) % 2]
        pairscope("build", source, "--model", MODEL, "--out", target, cache=tmp_path, seconds=seconds)
        assert Gallery.open(target).manifest.source in sources
    pairscope("build", sources[1], "--model", MODEL, "--out", target, cache=tmp_path)
    assert Gallery.open(target).manifest.source == sources[1]
    assert os.listdir(target.parent) == ["g"]


def test_trainings(tmp_path: Path) -> None:
    source = f"folder:{paint(tmp_path / 'pictures', 0)}"
    train = [
        "train", "--method", "infonce", "--source", source, "--model", MODEL,
        "--vocab-size", 300, "--max-steps", 12, "--batch-size", 8, "--save-every", 1, "--device", "cpu",
    ]  # fmt: skip
    start = time.monotonic()
    pairscope(*train, "--out", tmp_path / "whole", cache=tmp_path)
    out, stopped = tmp_path / "out", time.monotonic() - start
    for seconds in moments(stopped):
        resume = ["--resume"] * (out / "state.safetensors").exists()
        if pairscope(*train, *resume, "--out", out, cache=tmp_path, seconds=seconds) is not None:
            break
        assert not (out / CHECKSUMS).exists() or damage(out) == ""
    pairscope(*train, "--resume", "--out", out, cache=tmp_path)
    name = "open_clip_model.safetensors"
    assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
