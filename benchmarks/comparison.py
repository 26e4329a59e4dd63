"""Time the Compare page on the server, and check its noise band on queries that it was not computed from.

    pairscope build picturebook:gallery --model starter:infonce-continued --out a
    pairscope build picturebook:gallery --model starter:infonce-continued-2 --out b
    python benchmarks/comparison.py a b

The two galleries have the same pictures. If their models differ in their random seed only, the share of
queries for which they are called different must be at most 5 %.
"""

import logging
import statistics
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from provenance import build_command
from reporting import ResultsOption, report
from results import Column, Row, Table

from analysis.comparison.agreement import rank_biased_overlap
from analysis.comparison.noise import NoiseBand
from analysis.gallery_analysis import GalleryAnalysis
from itr_core import Gallery
from ui.web.compare.handlers import CompareHandlers
from ui.web.compare.request import MODELS
from ui.web.galleries import Galleries

GOALS = {2: 60, 6: 120}  # milliseconds
QUERIES, SAMPLES = 200, 50
GOAL = 5  # percent


def main(
    galleries: Annotated[
        list[Path], typer.Argument(help="Two galleries of the same pictures, made by `pairscope build`.")
    ],
    rounds: Annotated[int, typer.Option(min=2, help="Queries that are timed.")] = 60,
    results: ResultsOption = None,
) -> None:
    """Time the Compare page on the server, and check its noise band on other queries."""
    if len(galleries) != 2:
        raise typer.BadParameter(f"{len(galleries)} galleries are named; name two.")
    first, second = (GalleryAnalysis(Gallery.open(folder)) for folder in galleries)
    tables = {"milliseconds": _times(galleries, rounds, first.captions), "noise": _noise(first, second)}
    notes = [
        f"Queries: {rounds} captions, each new to the models. For six models, each of the two galleries is "
        "opened three times.",
        f"The noise band is computed from the captions of one half of the images, and applied to {SAMPLES} "
        f"samples of {QUERIES} captions of the other half.",
    ]
    report("comparison", tables, results, notes, first=[*map(build_command, galleries)])


def _times(folders: list[Path], rounds: int, captions: list[str]) -> Table:
    """Return the time from an address to its HTML, with marks, lines and the noise band."""
    logging.disable(logging.INFO)
    galleries = Galleries([str(folder) for folder in folders * 3], None)
    specs = [galleries.searcher(name).encoder.spec for name in galleries.names[:2]]
    for name in galleries.names:
        galleries.searcher(name)
        _ = galleries.analysis(name).query_truth, galleries.analysis(name).compared()
        while galleries.confidence(name) is None:  # computed in the background
            time.sleep(0.1)
    handlers = CompareHandlers(galleries, specs)
    queries = list(dict.fromkeys(captions))
    np.random.default_rng(0).shuffle(queries)
    rows = []
    for models in (MODELS[0], MODELS[-1]):
        names = "".join(f"&m={name}" for name in galleries.names[:models])
        wall, processor = [], []
        for query in queries[: rounds + 5]:
            start, used = time.perf_counter(), time.thread_time()
            answer = handlers.show(f"?q={query}{names}", None)
            wall.append(1000 * (time.perf_counter() - start))
            processor.append(1000 * (time.thread_time() - used))
            assert "columns" in answer.results, answer.status
        del queries[: rounds + 5]
        cells = {"p50": statistics.median(wall[5:]), "processor": statistics.median(processor[5:])}
        rows.append(Row(title=f"{models} models", cells=cells | {"goal": GOALS[models]}))
    columns = {
        "p50": Column(title="median", unit="ms"),
        "processor": Column(title="processor time, median", unit="ms"),
        "goal": Column(title="goal", unit="ms", format=".0f"),
    }
    return Table(columns=columns, rows=rows)


def _noise(first: GalleryAnalysis, second: GalleryAnalysis) -> Table:
    """Return the share of queries for which the models are called different."""
    random = np.random.default_rng(0)
    half = random.permutation(len(first.images))[: len(first.images) // 2]
    known = np.isin(first.pairs[2], half)
    a, b = first.compared().first, second.compared().first
    texts = [first.captions[row] for row in np.flatnonzero(known)]
    band = NoiseBand.of(a[known], b[known], texts)
    agreement = rank_biased_overlap(a, b)
    others = np.flatnonzero(~known)
    called = np.array([band.differs(first.captions[row], agreement[row]) for row in others])
    shares = [100 * random.choice(called, QUERIES, replace=False).mean() for _ in range(SAMPLES)]
    cells = {
        "all": 100 * called.mean(), "largest": max(shares), "goal": GOAL,
        "above": 100 * float(np.mean(np.array(shares) > GOAL)),
    }  # fmt: skip
    columns = {
        "all": Column(title="called different", unit="%"),
        "goal": Column(title="goal", unit="%", format=".0f"),
        "largest": Column(title=f"largest share of {QUERIES} queries", unit="%"),
        "above": Column(title="samples above the goal", unit="%", format=".0f"),
    }
    models = f"{first.gallery.manifest.model} and {second.gallery.manifest.model}"
    return Table(columns=columns, rows=[Row(title=models, cells=cells)])


if __name__ == "__main__":
    typer.run(main)
