"""End processes before each of their renames, and report what they leave.

A separate program, because it forks: every kill ends a copy of this process, in which all imports are done.

    python -m tests.system.killed_writes

prints one JSON object: system, which can exchange two folders or needs two renames -> name of the write ->
what was found after each kill, "old" or "new".
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from analysis.result_store import ResultStore
from itr_core import DualEncoder, Gallery, load_encoder, load_pairs
from itr_core.encoders import checkpoints
from itr_core.encoders.checksums import damage
from itr_core.encoders.heads import Heads
from itr_core.features.row_cache import cached_rows
from itr_core.pairs import PairSet
from itr_core.pairs.export import export
from itr_core.runtimes.export import export as export_model
from itr_core.runtimes.store import made_here
from itr_core.system import files
from itr_core.training.state import load_trainer_state, previous, save_state

KILLED = 9


class Write(NamedTuple):
    """A write of version 1 or 2 into a folder, and a check that the folder has one of them completely."""

    write: Callable[[Path, int], None]
    found: Callable[[Path], int | None]


def main() -> None:
    """Kill every write before its first rename, its second, and so on, and print what was found."""
    torch.set_num_threads(1)
    report: dict[str, dict[str, list[str]]] = {"exchange": {}, "two-renames": {}}
    with tempfile.TemporaryDirectory() as scratch:
        for system, (name, each) in product(report, writes(Path(scratch)).items()):
            found = report[system][name] = []
            kill_at = 1
            while True:
                folder = Path(scratch) / name
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                each.write(folder, 1)
                before = names(folder)
                if not is_killed(lambda: each.write(folder, 2), kill_at, system):  # noqa: B023 - called at once
                    break
                if system == "two-renames":  # what the next start does first
                    files.sweep(folder)
                found.append({1: "old", 2: "new", None: "damaged"}[each.found(folder)])
                each.write(folder, 2)
                assert each.found(folder) == 2, (name, kill_at)
                assert {left for left in names(folder) if left.startswith(".")} <= before, (name, kill_at)
                kill_at += 1
    print(json.dumps(report))


def names(folder: Path) -> set[str]:
    """Names of all files and folders, other than those of locks."""
    return {path.name for path in folder.rglob("*") if path.suffix != ".lock"}


def is_killed(act: Callable[[], None], kill_at: int, system: str) -> bool:
    """Run `act` in a copy of this process that ends before its rename number `kill_at`."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED
    count = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def before(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == kill_at:
                os._exit(KILLED)
            return call(*arguments, **options)

        return before

    os.rename, os.replace, os.link = counted(os.rename), counted(os.replace), counted(os.link)
    exchange = counted(files._exchange) if system == "exchange" else lambda one, other: False
    files._exchange = exchange
    act()
    os._exit(0)


def writes(scratch: Path) -> dict[str, Write]:
    """Return every kind of write of the application, by name."""
    sources = [scratch / "source 1", scratch / "source 2"]
    for version, source in enumerate(sources, 1):
        source.mkdir()
        for shade in range(2):
            Image.new("RGB", (9, 9), (100 * version, shade, 0)).save(source / f"{shade}.png")
    pairs = {version: load_pairs(f"folder:{source}") for version, source in enumerate(sources, 1)}
    encoder = load_encoder("picturebook-vit/none", device="cpu")
    return {
        "gallery": gallery(pairs, encoder),
        "checkpoint": checkpoint(encoder, keep_others=False),
        "checkpoint of a run": checkpoint(encoder, keep_others=True),
        "state": Write(write_state, found_state),
        "analysis": Write(write_result, found_result),
        "export": Write(lambda folder, version: write_export(pairs[version], folder, version), found_export),
        "export of a model": export_of_model(encoder),
        "row cache": Write(write_rows, found_rows),
        "file": Write(write_file, found_file),
    }


def gallery(pairs: dict[int, PairSet], encoder: DualEncoder) -> Write:
    """Build a gallery over another one."""

    def found(folder: Path) -> int:
        source = Gallery.open(folder / "g").manifest.source
        return next(version for version, each in pairs.items() if each.source == source)

    return Write(lambda folder, version: _build(pairs[version], encoder, folder), found)


def _build(pairs: PairSet, encoder: DualEncoder, folder: Path) -> None:
    Gallery.build(pairs, encoder, folder / "g")


def checkpoint(encoder: DualEncoder, *, keep_others: bool) -> Write:
    """Save a checkpoint over another one, in a folder that has other files if `keep_others`."""

    def write(folder: Path, version: int) -> None:
        if keep_others:
            (folder / "c" / "last").mkdir(parents=True, exist_ok=True)
            (folder / "c" / "last" / "kept").write_text("kept")
        model = nn.Linear(2, 2)
        nn.init.constant_(model.weight, version)
        checkpoints.save(
            folder / "c",
            model,
            encoder.tokenizer,
            encoder.config,
            training={"version": version},
            heads=Heads({"w": torch.tensor([float(version)])}),
            keep_others=keep_others,
        )

    def found(folder: Path) -> int | None:
        assert not damage(folder / "c")
        if keep_others and (folder / "c" / "last" / "kept").read_text() != "kept":
            return None
        versions = {
            json.loads((folder / "c" / "training.json").read_text())["version"],
            int(load_file(folder / "c" / "heads.safetensors")["w"][0]),
            int(load_file(folder / "c" / "open_clip_model.safetensors")["weight"][0, 0]),
        }
        return versions.pop() if len(versions) == 1 else None

    return Write(write, found)


def write_state(folder: Path, version: int) -> None:
    """Save a training state over another one, whose own predecessor is of version 1."""
    module = nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(module.parameters())
    path = folder / "state.safetensors"
    for _ in range(1 if path.exists() else 2):
        save_state(path, {"m": module}, optimiser, {"step": version})


def found_state(folder: Path) -> int:
    """Both states are whole, and the earlier one is not newer."""
    step = load_trainer_state(folder / "state.safetensors")["step"]
    assert load_trainer_state(previous(folder / "state.safetensors"))["step"] <= step
    return int(step)


def result_store(folder: Path, version: int) -> ResultStore:
    """A store whose keys change with the version."""
    return ResultStore(folder / "analysis", lambda name: f"key{version}")


def write_result(folder: Path, version: int) -> None:
    """Compute a result whose key has changed."""
    result_store(folder, version).table("t", lambda: pd.DataFrame({"x": [version]}))


def found_result(folder: Path) -> int | None:
    """Read the result of the new key, or of the old one if there is no new one."""

    def missing() -> pd.DataFrame:
        raise LookupError

    for version in (2, 1):
        with suppress(LookupError):
            return int(result_store(folder, version).table("t", missing)["x"].item())
    return None


def write_export(pairs: PairSet, folder: Path, version: int) -> None:
    """Export to a folder that does not exist: version 1 is that nothing was exported."""
    if version == 2 and not (folder / "e").exists():
        export(pairs, "karpathy", folder / "e")


def found_export(folder: Path) -> int | None:
    """Return 2 for a complete export and 1 for none."""
    if not (folder / "e").exists():
        return 1
    images = json.loads((folder / "e" / "dataset.json").read_text())["images"]
    return 2 if all((folder / "e" / "images" / image["filename"]).is_file() for image in images) else None


def export_of_model(encoder: DualEncoder) -> Write:
    """Export a model over an earlier export, which had other words."""

    def write(folder: Path, version: int) -> None:
        encoder.words = frozenset({f"version {version}"})
        export_model(encoder, folder / "e", "onnx")

    def found(folder: Path) -> int | None:
        if damage(folder / "e") or not made_here(folder / "e"):
            return None
        return int((folder / "e" / "words.txt").read_text().removeprefix("version "))

    return Write(write, found)


def write_rows(folder: Path, version: int) -> None:
    """Compute rows for a cache that was missing."""
    if version == 2:
        cached_rows(
            folder / "rows", 3, lambda start: [(np.full((3 - start, 2), 2), {})], title="", progress=False
        )


def found_rows(folder: Path) -> int | None:
    """Return 2 for a complete cache and 1 for none."""
    if not (folder / "rows").exists():
        return 1
    rows = cached_rows(folder / "rows", 3, lambda start: [], title="", progress=False)
    return 2 if (rows.values == 2).all() else None


def write_file(folder: Path, version: int) -> None:
    """Replace one file."""
    with files.whole_file(folder / "report.html") as part:
        part.write_text(str(version))


def found_file(folder: Path) -> int:
    """Read the file."""
    return int((folder / "report.html").read_text())


if __name__ == "__main__":
    main()
