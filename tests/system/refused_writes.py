"""Run commands of pairscope on a full disk and in protected folders, and report how they end.

A separate program, because it forks: every command runs in a copy of this process, in which all imports are
done. The full disk is a limit on the size of files, which a process can set for itself.

    python -m tests.system.refused_writes

prints one JSON object: condition -> name of the command -> `Outcome`.
"""

import json
import os
import resource
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import torch
from PIL import Image

import analysis.tables  # noqa: F401 - like the next modules: once for all copies of this process
import itr_core.evaluation.admission
import itr_core.gallery.build
import itr_core.retrieval.approximate
import itr_core.retrieval.saved_index
import itr_core.runtimes.export
import itr_core.training.trainer
from itr_core.system.files import sha256
from ui.cli import main as pairscope

MODEL = ("--model", "picturebook-vit/none")


class Command(NamedTuple):
    """A command."""

    arguments: list[object]
    writes: Path
    """The folder whose content it replaces, in the folder of the data or of the cache."""
    limit: int
    """Bytes that a file may have on the full disk."""


class Outcome(NamedTuple):
    """How a command ended that could not write, and the same command afterwards."""

    code: int
    output: str
    is_whole: bool
    """Whether the folder has the same content as before the command."""
    code_again: int
    output_again: str


def main() -> None:
    """Let every command fail in both conditions and finish afterwards, and print what happened."""
    for module in (itr_core.retrieval.saved_index, itr_core.retrieval.approximate):
        patch.object(module, "FEWEST", 20).start()  # items from which there is an index
    report: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        data, cache = Path(scratch) / "data", Path(scratch) / "cache"
        os.environ["PAIRSCOPE_CACHE"] = str(cache)
        prepare(data, cache)
        for condition, colour in (("full disk", "red"), ("read-only", "blue")):
            Image.new("RGB", (32, 32), colour).save(data / "photos" / "05.png")
            (data / "run" / "state.safetensors").unlink()  # a new run replaces the checkpoint of the old one
            report[condition] = {
                name: outcome(each, cache if name == "index" else data, condition)._asdict()
                for name, each in commands(data, cache).items()
            }
    print(json.dumps(report))


def commands(folder: Path, cache: Path) -> dict[str, Command]:
    """Return the commands by name."""
    gallery, run, source = folder / "gallery", folder / "run", f"folder:{folder / 'photos'}"
    train = ["train", "--method", "infonce", "--source", source, *MODEL, "--vocab-size", 300]
    train += ["--batch-size", 8, "--save-every", 1, "--device", "cpu"]
    export = ["export", run, "--runtime", "onnx", "--check", source]
    return {
        "train": Command([*train, "--max-steps", 3, "--out", run], run, 50_000),
        "export": Command(export, run / "exports", 100_000),
        "analyze": Command(["analyze", gallery, "--csv", folder / "tables"], folder / "tables", 100),
        "index": Command(["index", gallery], cache / "indexes", 1000),
        "update": Command(["update", gallery], gallery, 1000),
        "build": Command(["build", source, *MODEL, "--no-map", "--out", gallery], gallery, 1000),
    }


def prepare(folder: Path, cache: Path) -> None:
    """Write what the commands read, and an earlier state of what they write."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    lines = []
    for number in range(24):
        Image.new("RGB", (32, 32), (0, 10 * number, 0)).save(photos / f"{number:02}.png")
        lines.append(json.dumps({"file_name": f"{number:02}.png", "caption": f"shade {number}"}))
    (photos / "metadata.jsonl").write_text("\n".join(lines))
    for name in ("build", "train", "export", "index"):
        code, output = run(*commands(folder, cache)[name].arguments)
        assert not code, output


def outcome(command: Command, folder: Path, condition: str) -> Outcome:
    """Run a command that cannot write in a folder, and again when it can."""
    before = content(command.writes)
    if condition == "full disk":
        code, output = run(*command.arguments, limit=command.limit)
    else:
        protect(folder, 0o555)
        code, output = run(*command.arguments)
        protect(folder, 0o755)
    is_whole = content(command.writes) == before
    return Outcome(code, output, is_whole, *run(*command.arguments))


def content(folder: Path) -> dict[str, str]:
    """Return the digests of all files but those that a write has left unfinished."""
    return {str(path): sha256(path) for path in folder.rglob("[!.]*") if path.is_file()}


def protect(folder: Path, mode: int) -> None:
    """Set the mode of a folder and of its subfolders."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(mode)


def run(*arguments: object, limit: int = -1) -> tuple[int, str]:
    """Run a command in a copy of this process, in which files have at most `limit` bytes; -1: any number.

    Returns:
        The exit code, 1 after an error that the command does not explain, and all that was printed.
    """
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(write, 1)
        os.dup2(write, 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        sys.argv = ["pairscope", *map(str, arguments)]
        code: object = 0
        try:
            pairscope()
        except SystemExit as end:
            code = end.code
        except BaseException:  # a copy of this process must not go on with its work
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        os._exit(int(str(code or 0)))
    os.close(write)
    with os.fdopen(read) as output:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output.read()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
