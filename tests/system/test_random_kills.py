"""Commands that are killed at random moments leave the old state or the new one; repeated, they finish."""

import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from itr_core.encoders.checksums import CHECKSUMS, damage
from itr_core.gallery import Gallery
from itr_core.runtimes.store import read_export

pytestmark = [pytest.mark.slow, pytest.mark.kill, pytest.mark.timeout(3600)]

KILLS = 50
MODEL = "picturebook-vit/none"
CONTEXT = get_context("forkserver")  # its processes start with the imports done
CONTEXT.set_forkserver_preload(
    [
        __name__,
        "ui.cli",
        "analysis.gallery_analysis",
        "itr_core.training.trainer",
        "itr_core.pairs",
        "itr_core.runtimes.export",
        "open_clip",
        "umap",
    ]
)


def run(arguments: list[str], cache: str, output: str) -> None:
    """Run a command of pairscope in this process, with its output in a file."""
    os.environ["PAIRSCOPE_CACHE"] = cache
    with open(output, "w") as sys.stdout, open(f"{output}.errors", "w") as sys.stderr:
        from ui.cli import main

        sys.argv = ["pairscope", *arguments]
        main()


class Pairscope:
    """The commands of pairscope, each in a process that can be killed.

    Args:
        folder: Of their caches and of their output.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds = 0.0
        """Seconds of the last command that was not killed."""

    def __call__(self, *arguments: object, seconds: float | None = None) -> bool:
        """Run a command; return whether it has ended by itself and was not killed after `seconds`."""
        output = self.folder / "output"
        process = CONTEXT.Process(
            target=run, args=([*map(str, arguments)], str(self.folder / "cache"), str(output))
        )
        start = time.monotonic()
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            return False
        assert process.exitcode == 0, Path(f"{output}.errors").read_text()
        self.seconds = time.monotonic() - start
        return True

    def output(self) -> str:
        """Return what the last command has printed."""
        return (self.folder / "output").read_text()


@pytest.fixture
def pairscope(tmp_path: Path) -> Pairscope:
    one = Pairscope(tmp_path)
    one("--help")  # starts the server of processes
    return one


def kills(pairscope: Pairscope, command: Callable[[int], list[object]]) -> Iterator[bool]:
    """Run commands until `KILLS` of them were killed; yield after each whether it was.

    The moments are within the time of the last command that was not killed, since a busy machine changes it.

    Args:
        pairscope: Runs the commands.
        command: Number of the run, from 0 -> its command.
    """
    choice, killed, number = random.Random(0), 0, 0
    while killed < KILLS:
        ended = pairscope(*command(number), seconds=choice.uniform(0, pairscope.seconds))
        killed, number = killed + (not ended), number + 1
        yield not ended


def paint(folder: Path, shade: int) -> Path:
    folder.mkdir()
    for number in range(24):
        Image.new("RGB", (32, 32), (shade, 10 * number, 0)).save(folder / f"{number:02}.png")
    lines = [json.dumps({"file_name": f"{n:02}.png", "caption": f"shade {n}"}) for n in range(24)]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def is_gallery(folder: Path, other: Gallery) -> bool:
    """Return whether a folder is the other gallery.

    Embeddings depend a little on their batch, and the numbers of thumbnails on earlier updates.
    """
    gallery = Gallery.open(folder)
    return shown(gallery) == shown(other) and all(
        np.allclose(one, another, atol=1e-5)
        for one, another in (
            (gallery.image_embeddings, other.image_embeddings),
            (gallery.text_embeddings, other.text_embeddings),
        )
    )


def shown(gallery: Gallery) -> list[tuple[str, list[str], bytes]]:
    """Return id, captions and thumbnail of each image."""
    columns = gallery.items[["image_id", "captions", "thumbnail"]].to_dict("list")
    return [
        (image_id, captions, (gallery.path / thumbnail).read_bytes())
        for image_id, captions, thumbnail in zip(*columns.values(), strict=True)
    ]


def check_replacement(
    pairscope: Pairscope, target: Path, commands: list[list[object]], turn: Callable[[int], None]
) -> None:
    """Kill commands that replace two galleries by each other: always one of the two is there.

    Args:
        pairscope: Runs the commands.
        target: The gallery.
        commands: The command for each of the two galleries.
        turn: Called with the number of the gallery that the next command makes.
    """
    wanted: list[Gallery] = []
    for number, command in enumerate(commands):
        turn(number)
        pairscope(*command)
        wanted.append(Gallery.open(shutil.copytree(target, pairscope.folder / f"wanted {number}")))

    def next_command(number: int) -> list[object]:
        turn(number % 2)
        return commands[number % 2]

    for _ in kills(pairscope, next_command):
        assert any(is_gallery(target, each) for each in wanted)
    for number, command in enumerate(commands):
        turn(number)
        pairscope(*command)
        assert is_gallery(target, wanted[number])
    assert os.listdir(target.parent) == [target.name]


def test_builds(pairscope: Pairscope, tmp_path: Path) -> None:
    sources = [paint(tmp_path / name, shade) for name, shade in (("one", 0), ("two", 255))]
    target = tmp_path / "galleries" / "g"
    commands: list[list[object]] = [
        ["build", f"folder:{source}", "--model", MODEL, "--out", target, "--no-map"] for source in sources
    ]
    check_replacement(pairscope, target, commands, lambda number: None)


def test_updates(pairscope: Pairscope, tmp_path: Path) -> None:
    photos, target = paint(tmp_path / "photos", 0), tmp_path / "galleries" / "g"

    def turn(number: int) -> None:
        Image.new("RGB", (32, 32), ("red", "blue")[number]).save(photos / "05.png")
        (photos / "99.png").unlink(missing_ok=True)
        if number:
            shutil.copy(photos / "07.png", photos / "99.png")

    turn(0)
    pairscope("build", f"folder:{photos}", "--model", MODEL, "--out", target, "--no-map")
    commands: list[list[object]] = [["update", target]] * 2
    check_replacement(pairscope, target, commands, turn)


def test_analyses(pairscope: Pairscope, tmp_path: Path) -> None:
    target = tmp_path / "g"
    pairscope(
        "build", f"folder:{paint(tmp_path / 'photos', 0)}", "--model", MODEL, "--out", target, "--no-map"
    )
    analyze: list[object] = ["analyze", target, "--json", "--out", tmp_path / "report.html"]

    def anew(number: int) -> list[object]:
        shutil.rmtree(target / "analysis", ignore_errors=True)
        return analyze

    pairscope(*anew(0))
    output, stored = pairscope.output(), files(target)
    for _ in kills(pairscope, anew):
        for path in (target / "analysis").glob("[!.]*"):
            assert path.name in stored
        Gallery.open(target)
    pairscope(*analyze)
    assert pairscope.output() == output
    assert files(target) == stored


def test_exports(pairscope: Pairscope, tmp_path: Path) -> None:
    photos, out = paint(tmp_path / "photos", 0), tmp_path / "exports" / "e"
    export: list[object] = ["export", MODEL, "--runtime", "onnx", "--check", f"folder:{photos}", "--out", out]
    pairscope(*export)
    for _ in kills(pairscope, lambda number: export):
        assert damage(out) == ""
    pairscope(*export)
    assert read_export(out).check
    assert os.listdir(out.parent) == [out.name]


def files(gallery: Path) -> set[str]:
    """Return the names of the results of a gallery; each has the digest of its content in its name."""
    return {path.name for path in (gallery / "analysis").iterdir()}


def test_trainings(pairscope: Pairscope, tmp_path: Path) -> None:
    train: list[object] = [
        "train", "--method", "infonce", "--source", f"folder:{paint(tmp_path / 'pictures', 0)}",
        "--model", MODEL, "--vocab-size", 300, "--max-steps", 12, "--batch-size", 8, "--save-every", 1,
        "--device", "cpu",
    ]  # fmt: skip
    name = "open_clip_model.safetensors"
    pairscope(*train, "--out", tmp_path / "whole")
    out = tmp_path / "out"

    def resumed(number: int) -> list[object]:
        return [*train, *["--resume"] * (out / "state.safetensors").exists(), "--out", out]

    for killed in kills(pairscope, resumed):
        if killed:
            assert not (out / CHECKSUMS).exists() or damage(out) == ""
        else:
            assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
            shutil.rmtree(out)
    pairscope(*resumed(0))
    assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
