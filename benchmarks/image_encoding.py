"""Time `build` from photos on disk to a gallery against the image tower alone on tensors in memory.

    python benchmarks/image_encoding.py --runtime openvino

The photos are drawn pictures with grain, as JPEG files. The tower alone runs in two ways: all threads of
PyTorch on one batch, and a batch per thread, as a build does. The ratio is of processor time to the latter,
within each round: both use all cores at once, and other work on the machine hardly changes it. With
`--runtime`, the model is exported in int8 and builds too, and R@1 of the starter is measured in int8. The
weights of the default model are random, because speed does not depend on them.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from photos import write_photos
from reporting import ResultsOption, report
from results import Column, Row, Table
from rich.console import Console
from rich.progress import track
from timing import median_ratio
from torch import Tensor

from itr_core import DualEncoder, Gallery, PairSet, load_encoder, load_pairs
from itr_core.encoders import Encoder
from itr_core.encoders.streams import map_batches, several_batches
from itr_core.evaluation.admission import measure_export
from itr_core.runtimes.encoder import ExportedEncoder
from itr_core.runtimes.export import export

ALL, EACH = "tower alone, all threads on one batch", "tower alone, a batch per thread"
BUILD = "build, photos on disk to a gallery"
BATCH = 16
CALIBRATION = 128
STARTER = "starter:infonce"


def main(
    model: Annotated[str, typer.Option(help="Model spec.")] = "ViT-B-32/none",
    photos: Annotated[int, typer.Option(min=BATCH, help="Number of photos.")] = 256,
    rounds: Annotated[int, typer.Option(min=1, help="Timed rounds.")] = 3,
    runtime: Annotated[
        str | None, typer.Option(help="Also build with an int8 export for openvino or onnx.")
    ] = None,
    results: ResultsOption = None,
) -> None:
    """Time `build` from photos on disk against the image tower alone."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_photos(folder / "photos", photos)
        pairs, encoder = load_pairs(str(folder / "photos")), load_encoder(model, device="cpu").fuse()
        ready = tensors(encoder, pairs)
        runs: dict[str, Callable[[], object]] = {
            ALL: partial(forward, encoder, ready),
            EACH: partial(forward_per_thread, encoder, ready),
            BUILD: partial(build, pairs, encoder, folder / "gallery"),
        }
        tables = {}
        if runtime:
            int8 = exported(encoder, folder / "export", runtime)
            runs[f"the same in int8, {runtime}"] = partial(build, pairs, int8, folder / "gallery")
            tables["quality"] = quality(folder / "starter", runtime)
        tables = {"speed": speed(runs, photos, rounds), **tables}
    notes = [f"{model}; {photos} photos; threads: {torch.get_num_threads()}; median over rounds: {rounds}."]
    report("image_encoding", tables, results, notes)


def tensors(encoder: DualEncoder, pairs: PairSet) -> list[Tensor]:
    """Return the normalised pixels of all photos in batches."""
    pixels = torch.from_numpy(np.stack([encoder.prepare(pairs.image(row)) for row in range(len(pairs))]))
    return [encoder.normalise(batch / 255) for batch in pixels.split(BATCH)]


@torch.inference_mode()
def forward(encoder: DualEncoder, batches: list[Tensor]) -> None:
    """Run the tower on one batch after the other."""
    for batch in batches:
        encoder.model.encode_image(batch)


def forward_per_thread(encoder: DualEncoder, batches: list[Tensor]) -> None:
    """Run the tower on several batches at a time, as a build does."""
    with several_batches():
        map_batches(encoder.model.encode_image, iter(batches), encoder.lock)


def build(pairs: PairSet, encoder: Encoder, gallery: Path) -> None:
    """Build a gallery, which replaces the last."""
    Gallery.build(pairs, encoder, gallery)


def exported(encoder: DualEncoder, folder: Path, runtime: str) -> ExportedEncoder:
    """Export a model in int8, calibrated on drawn pictures."""
    pairs = load_pairs(f"picturebook:train@{CALIBRATION}")
    images = [encoder.prepare(pairs.image(row)) for row in range(len(pairs))]
    export(encoder, folder, runtime, "int8", calibration=(images, [each[0] for each in pairs.captions]))
    return ExportedEncoder(folder)


def quality(folder: Path, runtime: str) -> Table:
    """Measure R@1 of the starter in int8."""
    encoder = load_encoder(STARTER, device="cpu").fuse()
    exported(encoder, folder, runtime)
    check = measure_export(folder, encoder, load_pairs("picturebook:val"))
    rows = [
        Row(title=f"{each.name} (%)", cells={"torch": each.torch, "int8": each.exported})
        for each in check.figures
    ]
    loss = max(each.torch - each.exported for each in check.figures)
    rows.append(Row(title="largest loss (points)", cells={"int8": loss}))
    columns = {"torch": Column(title="torch", format=".2f"), "int8": Column(title="int8", format=".2f")}
    return Table(title=f"{STARTER} on {check.source}", columns=columns, rows=rows)


def speed(runs: dict[str, Callable[[], object]], photos: int, rounds: int) -> Table:
    """Time all runs, which alternate."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    processor: dict[str, list[float]] = {name: [] for name in runs}
    for number in track(range(rounds + 1), "Rounds", console=Console(stderr=True), transient=True):
        for name, run in runs.items():
            start, spent = time.perf_counter(), processor_seconds()
            run()
            if number:  # the first round fills the caches
                seconds[name].append(time.perf_counter() - start)
                processor[name].append(processor_seconds() - spent)
    columns = {
        "speed": Column(title="images per second"),
        "processor": Column(title="processor time of an image", unit="ms"),
        "ratio": Column(title="speed by processor time, of a batch per thread", format=".2f"),
    }
    rows = [
        Row(
            title=name,
            cells={
                "speed": photos / statistics.median(each),
                "processor": 1000 * statistics.median(processor[name]) / photos,
                "ratio": median_ratio(processor[EACH], processor[name]),
            },
        )
        for name, each in seconds.items()
    ]
    return Table(columns=columns, rows=rows)


def processor_seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    typer.run(main)
