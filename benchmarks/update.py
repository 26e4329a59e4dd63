"""Time `pairscope update` after one picture in a hundred has changed, against building the gallery anew.

    python benchmarks/update.py                    # 2,000 drawn pictures
    python benchmarks/update.py --photos FOLDER    # copies of the photos of a folder

Both commands run as a user runs them, in processes of their own. Starting a process that imports torch and
open_clip takes part of either time, so it is measured too. The ratio is of processor time, which other work
on the machine hardly changes.
"""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from cold_query import run
from PIL import Image, ImageOps
from reporting import ResultsOption, report
from results import Column, Row, Table

from itr_core import load_pairs

GOAL = 0.05
START, FIRST, ANEW = "start: torch and open_clip imported", "first build", "build anew"
UPDATE, SAME = "update, 1 % of the pictures changed", "update, nothing changed"
SETTLED = 2.1
"""Seconds after which a file's time of change tells whether it has changed."""


def main(
    photos: Annotated[
        Path | None, typer.Option(help="Folder of photos; by default, pictures are drawn.")
    ] = None,
    pictures: Annotated[int, typer.Option(help="Number of drawn pictures.")] = 2_000,
    model: Annotated[str, typer.Option(help="Model spec.")] = "starter:infonce",
    results: ResultsOption = None,
) -> None:
    """Time an update against a build."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, gallery = Path(scratch) / "photos", Path(scratch) / "gallery"
        if photos:
            shutil.copytree(photos, folder)
        else:
            draw(folder, pictures)
        time.sleep(SETTLED)
        build = ["-m", "ui.cli", "build", str(folder), "--out", str(gallery), "--no-map"]
        imports = "-c", "import torch, open_clip"
        measured = {FIRST: run(*build, "--model", model), SAME: run("-m", "ui.cli", "update", str(gallery))}
        changed, starts = change(folder), [run(*imports)]
        measured[UPDATE] = run("-m", "ui.cli", "update", str(gallery))
        starts.append(run(*imports))
        measured[ANEW] = run(*build, "--model", model)
        starts.append(run(*imports))
        measured[START] = sorted(starts, key=lambda each: each[1])[1]
    columns = {
        "seconds": Column(title="time", unit="s", format=".1f"),
        "processor": Column(title="processor time", unit="s", format=".1f"),
        "ratio": Column(title="without the start, of a build", format=".3f"),
        "goal": Column(title="goal", format=".2f"),
    }
    start, build_anew = measured[START][1], measured[ANEW][1]
    rows = []
    for title in (START, FIRST, UPDATE, ANEW, SAME):
        seconds, processor, _ = measured[title]
        cells = {"seconds": seconds, "processor": processor}
        if title in (UPDATE, ANEW):
            cells["ratio"] = (processor - start) / (build_anew - start)
        rows.append(Row(title=title, cells=cells | ({"goal": GOAL} if title == UPDATE else {})))
    report(
        "update", {"seconds": Table(columns=columns, rows=rows)}, results, [f"{changed} pictures changed."]
    )


def draw(folder: Path, count: int) -> None:
    """Write drawn pictures with one caption each."""
    folder.mkdir()
    for row, pair in enumerate(load_pairs(f"picturebook:train@{count}")):
        pair.image.save(folder / f"{row:06}.png")
        (folder / f"{row:06}.txt").write_text(pair.captions[0], encoding="utf-8")


def change(folder: Path) -> int:
    """Mirror one picture in a hundred; return their number."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    for path in files[::100]:
        with Image.open(path) as image:
            ImageOps.mirror(image).save(path)
    time.sleep(SETTLED)
    return len(files[::100])


if __name__ == "__main__":
    typer.run(main)
