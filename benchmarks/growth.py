"""Measure how time and memory grow with the number of pictures: build, open, query, map.

    python benchmarks/growth.py
    python benchmarks/growth.py --photos 1000 --photos 30000 --pictures 1000 --pictures 1000000

Photos are drawn pictures with grain, as JPEG files (`photos.py`), which `pairscope build` encodes; its memory
is the peak of its process. The galleries that are opened and searched are enlarged from a small one
(`enlarged.py`); memory is that of the process after the searches, and the map is UMAP of the images. Every
measurement has its own process. With --results, `render.py` also draws docs/assets/growth.svg.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import psutil
import typer
from cold_query import ROOT, run
from enlarged import enlarge
from photos import write_photos
from reporting import ResultsOption, report
from results import Column, Row, Table

from itr_core import Gallery

K, QUERIES = 24, 50


def main(
    photos: Annotated[
        list[int] | None, typer.Option(help="Photos of a build. Repeat. [default: 250, 1000]")
    ] = None,
    pictures: Annotated[
        list[int] | None,
        typer.Option(help="Pictures of a gallery that is opened. Repeat. [default: 1000, 10000, 100000]"),
    ] = None,
    model: Annotated[str, typer.Option(help="Model of the builds.")] = "picturebook-vit/none",
    results: ResultsOption = None,
) -> None:
    """Measure how time and memory grow with the number of pictures."""
    builds, peaks, galleries = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for number in photos or [250, 1_000]:
            write_photos(folder / f"photos-{number}", number)
            cells = built(folder / f"photos-{number}", folder / f"built-{number}", model)
            peaks.append(cells["memory"])
            builds.append(
                Row(title=f"{number:,} photos", cells={"speed": number / cells["seconds"], **cells})
            )
        small = folder / "small"
        run("-m", "ui.cli", "build", "picturebook:gallery@500", "--out", str(small), "--no-map")
        for number in pictures or [1_000, 10_000, 100_000]:
            enlarge(Gallery.open(small), folder / str(number), number)
            with get_context("spawn").Pool(1) as pool:
                galleries.append(
                    Row(title=f"{number:,} pictures", cells=pool.apply(opened, (folder / str(number),)))
                )
    growth = max(peaks) - min(peaks)
    tables = {
        "build": Table(
            columns={
                "speed": Column(title="photos per second"),
                "seconds": Column(title="time", unit="s", format=".0f"),
                "processor": Column(title="processor time of a photo", unit="ms"),
                "memory": Column(title="peak memory", unit="MB", format=".0f"),
            },
            rows=builds,
        ),
        "growth": Table(
            columns={"memory": Column(title="largest build - smallest build", unit="MB", format=".0f")},
            rows=[Row(title="growth", cells={"memory": growth})],
        ),
        "gallery": Table(
            columns={
                "opened": Column(title="opening, processor time", unit="s", format=".2f"),
                "first": Column(title="first search", unit="s", format=".2f"),
                "query": Column(title="later searches, median", unit="ms"),
                "filtered": Column(title="searches limited to a label, median", unit="ms"),
                "memory": Column(title="memory", unit="MB", format=".0f"),
                "map": Column(title="map, processor time", unit="s", format=".0f"),
            },
            rows=galleries,
        ),
    }
    notes = [
        f"Builds with {model}, from process start. Galleries of starter:infonce, five captions a picture; "
        f"searches with the embedding of a caption, top {K}, processor time."
    ]
    report("growth", tables, results, notes)


def built(photos: Path, gallery: Path, model: str) -> dict[str, float]:
    """Build a gallery in a process of its own; its memory is sampled, as its children do not count."""
    start, peak = time.perf_counter(), 0
    command = [sys.executable, "-m", "ui.cli", "build", str(photos), "--out", str(gallery), "--no-map"]
    before = sum(os.times()[2:4])
    with subprocess.Popen(
        [*command, "--model", model], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            try:
                peak = max(peak, psutil.Process(process.pid).memory_info().rss)
            except psutil.Error:  # it has just ended
                break
            time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"`pairscope build {photos}` ended with exit status {process.returncode}.")
    count = len(list(photos.iterdir()))
    spent = sum(os.times()[2:4]) - before
    return {
        "seconds": time.perf_counter() - start, "processor": 1000 * spent / count, "memory": peak / 1e6
    }  # fmt: skip


class _NoEncoder:
    """Stands for the model: searches with an embedding need only its name."""

    def __init__(self, gallery: Gallery) -> None:
        self.spec, self.fingerprint = gallery.manifest.model, gallery.manifest.model_fingerprint


def opened(folder: Path) -> dict[str, float]:
    """Open a gallery as `pairscope search` does, and search it."""
    from itr_core.retrieval.searcher import Searcher

    start = time.process_time()
    gallery = Gallery.open(folder, thumbnails=False)
    searcher = Searcher(gallery, _NoEncoder(gallery))  # type: ignore[arg-type]  # nothing is encoded
    seconds = time.process_time() - start
    label = Counter(label for labels in gallery.column("labels") for label in labels).most_common(1)[0][0]

    def times(labels: Sequence[str] = ()) -> list[float]:
        taken = []
        for row in range(0, QUERIES * 5, 5):
            start = time.process_time()
            searcher.search_embedding(gallery.text_embeddings[row], K, labels=labels)
            taken.append(time.process_time() - start)
        return taken

    every, limited = times(), times([label])
    memory = psutil.Process().memory_info().rss / 1e6
    from analysis.projection import umap_map  # a search does not need it

    start = time.process_time()
    umap_map(gallery.image_embeddings)
    return {
        "opened": seconds,
        "first": every[0],
        "query": 1000 * statistics.median(every[1:]),
        "filtered": 1000 * statistics.median(limited[1:]),
        "memory": memory,
        "map": time.process_time() - start,
    }


if __name__ == "__main__":
    typer.run(main)
