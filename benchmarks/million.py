"""Search a million vectors of 512 dimensions with text queries, on one thread, against faiss's exact index.

    python benchmarks/million.py

The vectors have the statistics of real ones: each half of an image is a mixture, with random weights, of the
embeddings of two random images of the gallery, and its text is the same mixture of a caption of each. So the
texts have the modality gap and the agreement with their images that the gallery has, and lie off the
images' manifold as typed queries do. The settings of the approximate index are chosen with other texts than
those that measure it. The vectors are in a file that the operating system maps, as those of a gallery.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import faiss
import numpy as np
import psutil
import typer
from reporting import ResultsOption, report
from results import Column, Row, Table

from itr_core import Gallery, load_encoder, load_pairs
from itr_core.errors import GalleryError
from itr_core.retrieval.approximate import build_approximate
from itr_core.retrieval.index import ExactIndex, blocks

DIM, K, SAMPLE = 512, 10, 400
BLOCK = 20_000
GOALS = {"exact, half precision": 1.5, "approximate": 50}
RECALL_GOAL, MEMORY_GOAL = 0.99, 0.6
Search = Callable[[np.ndarray], np.ndarray]
"""Maps a query (1, d) to the rows found (1, k)."""


class Measured(NamedTuple):
    """What one index took: seconds to make, memory that it added in bytes, seconds per query, rows found."""

    made: float
    memory: int
    seconds: list[float]
    rows: np.ndarray
    note: str


def main(
    gallery: Annotated[
        Path | None,
        typer.Argument(help="Folder made by `pairscope build`, with captions. Default: drawn pictures."),
    ] = None,
    vectors: Annotated[int, typer.Option(min=10_000, help="Number of vectors.")] = 1_000_000,
    queries: Annotated[int, typer.Option(min=10, help="Number of queries.")] = 200,
    results: ResultsOption = None,
) -> None:
    """Search a million vectors with text queries, on one thread, against faiss's exact index."""
    with tempfile.TemporaryDirectory() as scratch:
        opened = Gallery.open(gallery) if gallery else drawn(Path(scratch) / "gallery")
        write(opened, Path(scratch), vectors, SAMPLE + queries)
        measured = {}
        for name, make in INDEXES.items():
            with get_context("spawn").Pool(1) as pool:
                measured[name] = pool.apply(run, (make, Path(scratch)))
    flat = measured["faiss Flat, single precision"]
    rows = []
    for name, each in measured.items():
        ratios = [theirs / ours for theirs, ours in zip(flat.seconds, each.seconds, strict=True)]
        recall = (each.rows[:, :, None] == flat.rows[:, None]).any(axis=1).mean()
        cells = {
            "time": statistics.median(each.seconds) * 1000, "slow": np.quantile(each.seconds, 0.95) * 1000,
            "speed": statistics.median(ratios), "recall": recall, "memory": each.memory / 2**20,
            "share": each.memory / flat.memory, "made": each.made,
        }  # fmt: skip
        cells |= {"goal": GOALS[name]} if name in GOALS else {}
        rows.append(Row(title=name, cells={key: float(value) for key, value in cells.items()}))
    columns = {
        "time": Column(title="query, median", unit="ms"),
        "slow": Column(title="95 % of the queries", unit="ms"),
        "speed": Column(title="times as fast"),
        "goal": Column(title="goal", format="g"),
        "recall": Column(title="recall@10", format=".3f"),
        "memory": Column(title="memory", unit="MiB", format=".0f"),
        "share": Column(title="memory, share", format=".2f"),
        "made": Column(title="making it", unit="s", format=".0f"),
    }
    notes = [
        f"{vectors:,} vectors of {DIM} dimensions, {queries} text queries one after the other, top {K}, one "
        f"thread, processor time. Goals: recall {RECALL_GOAL}, memory at most {MEMORY_GOAL} of faiss Flat.",
        *(each.note for each in measured.values() if each.note),
    ]
    report(
        "million", {"search": Table(columns=columns, rows=rows)}, results, notes,
        first=[opened.manifest.rebuild_command(gallery)] if gallery else [],
    )  # fmt: skip


def drawn(folder: Path) -> Gallery:
    """Build the gallery of the demo."""
    return Gallery.build(load_pairs("picturebook:gallery"), load_encoder("starter:infonce"), folder)


def write(gallery: Gallery, folder: Path, n: int, queries: int) -> None:
    """Write images.npy (n, 512) and queries.npy (q, 512), float32 of unit norm."""
    parts, rest = divmod(DIM, gallery.manifest.dim)
    if rest or not gallery.manifest.captions:
        raise GalleryError(f"{gallery.path}: captions and a divisor of {DIM} as dimension are needed.")
    rng = np.random.default_rng(0)
    with_captions = np.unique(gallery.image_of_caption)
    first = np.searchsorted(gallery.image_of_caption, with_captions)
    images = gallery.image_embeddings[with_captions]
    texts = gallery.text_embeddings[first]
    out = np.lib.format.open_memmap(folder / "images.npy", "w+", np.float32, (n, DIM))
    for start in range(0, n, BLOCK):
        count = min(BLOCK, n - start)
        chosen = rng.integers(len(images), size=(count, parts, 2))
        weights = rng.random((count, parts, 1), dtype=np.float32)
        out[start : start + count] = mixed(images, chosen, weights)
        if not start:
            asked = slice(0, queries)
            np.save(folder / "queries.npy", mixed(texts, chosen[asked], weights[asked]))


def mixed(embeddings: np.ndarray, chosen: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mix two embeddings for each part of a vector, and join the parts: (n, parts, 2) rows -> (n, 512)."""
    one, other = embeddings[chosen[..., 0]], embeddings[chosen[..., 1]]
    parts = weights * one + (1 - weights) * other
    parts /= np.linalg.norm(parts, axis=2, keepdims=True)
    joined: np.ndarray = parts.reshape(len(parts), -1) / np.sqrt(parts.shape[1])
    return joined.astype(np.float32)


def run(make: Callable[[np.ndarray, np.ndarray], tuple[Search, str]], folder: Path) -> Measured:
    """Make an index and search it, in a process of its own."""
    faiss.omp_set_num_threads(1)
    vectors = np.load(folder / "images.npy", mmap_mode="r")
    queries = np.load(folder / "queries.npy")
    process, start = psutil.Process(), time.perf_counter()
    before = own_memory(process)
    search, note = make(vectors, queries[:SAMPLE])
    made = time.perf_counter() - start
    seconds, rows = [], []
    for query in queries[SAMPLE:]:
        start = time.process_time()
        rows.append(search(query[None]))
        seconds.append(time.process_time() - start)
    return Measured(made, own_memory(process) - before, seconds, np.concatenate(rows), note)


def own_memory(process: psutil.Process) -> int:
    """Return the memory of a process without what it maps of files, in bytes."""
    about = process.memory_info()
    return int(about.rss - about.shared)


def flat(vectors: np.ndarray, sample: np.ndarray) -> tuple[Search, str]:
    """Return faiss's exact index in single precision."""
    index = faiss.IndexFlatIP(DIM)
    for block in blocks(vectors, None):
        index.add(block)
    return lambda query: index.search(query, K)[1], ""


def exact(vectors: np.ndarray, sample: np.ndarray) -> tuple[Search, str]:
    """Return Pairscope's exact index."""
    index = ExactIndex(vectors)
    return lambda query: index.search(query, K)[1], ""


def approximate(vectors: np.ndarray, sample: np.ndarray) -> tuple[Search, str]:
    """Return Pairscope's approximate index, with the settings that `pairscope index` would choose."""
    index = build_approximate(vectors, None, sample)
    probes, candidates, recall = index.settings
    return (
        lambda query: index.search(query, K)[1],
        f"Approximate: {probes} of {index.lists.nlist} lists scanned, {candidates} candidates scored "
        f"exactly. The queries by which this was chosen reached a recall of {recall:.3f}.",
    )


INDEXES: dict[str, Any] = {
    "faiss Flat, single precision": flat,
    "exact, half precision": exact,
    "approximate": approximate,
}

if __name__ == "__main__":
    typer.run(main)
