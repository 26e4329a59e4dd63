"""Measure time and memory of alignment, uniformity and modality gap as the number of pairs grows.

    python benchmarks/geometry_cost.py

The peer is the formula over all pairs of 4,000 rows, whose time is extrapolated by the square of the number.
Embeddings are random unit vectors of 512 dimensions. Times are processor time of one thread. Each size has a
process of its own, whose peak memory includes its arrays.
"""

import os
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Annotated

import numpy as np
import typer
from reporting import ResultsOption, report
from results import Column, Row, Table

from analysis.geometry.measures import alignment, modality_gap, uniformity

SIZES = (10_000, 50_000, 100_000)
DIM = 512
SAMPLE = 4_000
"""Rows of which the peer measures all pairs."""


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Timed calls of each size.")] = 3,
    results: ResultsOption = None,
) -> None:
    """Measure time and memory of alignment, uniformity and modality gap."""
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # of the new processes
    rows, seconds = [], {}
    for pairs in SIZES:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            seconds[pairs], naive, memory = pool.submit(cost, pairs, rounds).result()
        cells = {"seconds": seconds[pairs], "naive": naive, "ratio": naive / seconds[pairs], "memory": memory}
        rows.append(Row(title=f"{pairs:,} pairs", cells=cells))
    columns = {
        "seconds": Column(title="Pairscope", unit="s", format=".2f"),
        "naive": Column(title="all pairs, extrapolated", unit="s"),
        "ratio": Column(title="speed-up", format=".0f"),
        "memory": Column(title="peak memory", unit="GB", format=".2f"),
    }
    growth = Table(
        columns={"value": Column(title="time of 100,000 pairs / of 10,000 pairs", format=".2f")},
        rows=[Row(title="growth", cells={"value": seconds[SIZES[-1]] / seconds[SIZES[0]]})],
    )
    notes = [f"Median over rounds: {rounds}. Uniformity is measured on all pairs of at most 10,000 rows."]
    report("geometry_cost", {"cost": Table(columns=columns, rows=rows), "growth": growth}, results, notes)


def cost(pairs: int, rounds: int) -> tuple[float, float, float]:
    """Measure one size.

    Returns:
        Seconds of the three measures; extrapolated seconds of the formula; peak memory in GB.
    """
    images, texts = unit_vectors(pairs, 0), unit_vectors(pairs, 1)
    seconds, naive = [], []
    for _ in range(rounds):
        start = time.process_time()
        alignment(images, texts)
        uniformity(images)
        uniformity(texts)
        modality_gap(images, texts)
        seconds.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    for _ in range(rounds):
        start = time.process_time()
        uniformity_of_all_pairs(images[:SAMPLE])
        uniformity_of_all_pairs(texts[:SAMPLE])
        naive.append((time.process_time() - start) * (pairs / SAMPLE) ** 2)
    return statistics.median(seconds), statistics.median(naive), peak


def unit_vectors(rows: int, seed: int) -> np.ndarray:
    """Return random unit vectors (rows, DIM) float32."""
    vectors = np.random.default_rng(seed).standard_normal((rows, DIM), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def uniformity_of_all_pairs(x: np.ndarray) -> float:
    """Compute log E exp(-2 ||a - b||^2) over all pairs of different rows, as Wang & Isola write it."""
    squared = np.clip(2 - 2 * (x @ x.T), 0, None)
    return float(np.log(np.exp(-2 * squared[np.triu_indices(len(x), 1)]).mean()))


if __name__ == "__main__":
    typer.run(main)
