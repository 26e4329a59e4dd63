"""Time the ranks of all queries against CLIP_benchmark's recall at 1, 5 and 10 on the same matrix.

    python benchmarks/metrics_speed.py

The similarity matrix has the size of COCO's test split, 25,000 captions by 5,000 images. It is random, with
the similarity of each caption to its own image raised so that R@1 is neither near chance nor near 100 %. Each
implementation runs in a process of its own, on one thread. The two must agree on every query.
"""

import resource
import time
from collections.abc import Callable
from multiprocessing import get_context
from typing import Annotated, Any

import numpy as np
import torch
import typer
from reporting import ResultsOption, report
from results import Column, Row, Table
from torch import Tensor

from itr_core.metrics import CUTOFFS, ranks

IMAGES, CAPTIONS_PER_IMAGE = 5000, 5
BATCH = 64
SPEED_UP_GOAL = 15
MEMORY_GOAL = "below 2"  # matrices
Hits = dict[str, np.ndarray]


def main(
    rounds: Annotated[int, typer.Option(help="Calls of each implementation.")] = 3,
    results: ResultsOption = None,
) -> None:
    """Time the ranks of all queries against CLIP_benchmark's recall at 1, 5 and 10 on the same matrix."""
    measured = []
    for implementation in (clip_benchmark_hits, pairscope_hits):
        with get_context("spawn").Pool(1) as pool:
            measured.append(pool.apply(run, (implementation, rounds)))
    (slow, their_peak, their_hits), (fast, our_peak, our_hits) = measured
    differing = sum(int((their_hits[name] != our_hits[name]).sum()) for name in their_hits)
    calls = {"first call": (slow[0], fast[0]), "fastest call": (min(slow), min(fast))}
    time_columns = {
        "clip_benchmark": Column(title="CLIP_benchmark", unit="s"),
        "pairscope": Column(title="Pairscope", unit="s", format=".2f"),
        "ratio": Column(title="speed-up", format=".0f"),
        "goal": Column(title="goal", format=".0f"),
    }
    memory_columns = {
        "clip_benchmark": Column(title="CLIP_benchmark", unit="matrices"),
        "pairscope": Column(title="Pairscope", unit="matrices", format=".2f"),
        "goal": Column(title="goal"),
    }
    times = [
        Row(
            title=name,
            cells={
                "clip_benchmark": theirs,
                "pairscope": ours,
                "ratio": theirs / ours,
                "goal": SPEED_UP_GOAL,
            },
        )
        for name, (theirs, ours) in calls.items()
    ]
    memory = Row(
        title="peak memory of the process, including the given matrix",
        cells={"clip_benchmark": their_peak, "pairscope": our_peak, "goal": MEMORY_GOAL},
    )
    tables = {
        "time": Table(columns=time_columns, rows=times),
        "memory": Table(columns=memory_columns, rows=[memory]),
    }
    recalls = ", ".join(f"{name} {100 * hit.mean():.1f}" for name, hit in our_hits.items())
    queries = IMAGES * (1 + CAPTIONS_PER_IMAGE)
    notes = [
        f"{differing} of {queries:,} queries differ between the two at any K ({recalls}).",
        f"Calls of each: {rounds}.",
    ]
    report("metrics_speed", tables, results, notes)


# `recall_at_k` and `batchify` are copied from CLIP_benchmark; only types are added and comments shortened:
# clip_benchmark/metrics/zeroshot_retrieval.py of version 1.6.2, MIT license, Copyright (c) 2022 Mehdi Cherti.
# Installing the package would also install webdataset and pycocoevalcap.
def recall_at_k(scores: Tensor, positive_pairs: Tensor, k: int) -> Tensor:
    """Compute the recall at k for each sample."""
    nb_texts, nb_images = scores.shape
    # for each text, sort according to image scores in decreasing order
    topk_indices = torch.topk(scores, k, dim=1)[1]
    # compute number of positives for each text
    nb_positive = positive_pairs.sum(dim=1)
    # nb_texts, k, nb_images
    topk_indices_onehot = torch.nn.functional.one_hot(topk_indices, num_classes=nb_images)
    # compute number of true positives
    positive_pairs_reshaped = positive_pairs.view(nb_texts, 1, nb_images)
    # a true positive means a positive among the topk
    nb_true_positive = (topk_indices_onehot * positive_pairs_reshaped).sum(dim=(1, 2))
    # compute recall at k
    return nb_true_positive / nb_positive


def batchify(
    func: Any,
    X: Tensor,  # noqa: N803
    Y: Tensor,  # noqa: N803
    batch_size: int,
    device: str,
    **kwargs: Any,
) -> Tensor:
    """Apply `func` to rows of X and Y, a batch at a time."""
    results = []
    for start in range(0, len(X), batch_size):
        end = start + batch_size
        x = X[start:end].to(device)
        y = Y[start:end].to(device)
        result = func(x, y, **kwargs).cpu()
        results.append(result)
    return torch.cat(results)


def similarities() -> tuple[np.ndarray, np.ndarray]:
    """Return similarities (captions, images) float32 and the image of each caption (captions,)."""
    image_of_caption = np.repeat(np.arange(IMAGES), CAPTIONS_PER_IMAGE)
    scores = np.random.default_rng(0).standard_normal((len(image_of_caption), IMAGES), dtype=np.float32)
    scores[np.arange(len(image_of_caption)), image_of_caption] += 4
    return scores, image_of_caption


def clip_benchmark_hits(scores: np.ndarray, image_of_caption: np.ndarray) -> Hits:
    """Return which queries are hits at each K, (queries,) bool, as CLIP_benchmark's `evaluate` finds them."""
    similarity = torch.from_numpy(scores)
    positive_pairs = torch.zeros_like(similarity, dtype=torch.bool)
    positive_pairs[torch.arange(len(similarity)), torch.from_numpy(image_of_caption)] = True
    hits = {}
    for k in CUTOFFS:
        hits[f"t2i@{k}"] = batchify(recall_at_k, similarity, positive_pairs, BATCH, "cpu", k=k) > 0
        hits[f"i2t@{k}"] = batchify(recall_at_k, similarity.T, positive_pairs.T, BATCH, "cpu", k=k) > 0
    return {name: hit.numpy() for name, hit in hits.items()}


def pairscope_hits(scores: np.ndarray, image_of_caption: np.ndarray) -> Hits:
    """Return the same hits from the ranks, which give the hits at every other K too."""
    t2i, i2t = ranks(scores.T, image_of_caption)
    return {
        f"{direction}@{k}": rank <= k for k in CUTOFFS for direction, rank in (("t2i", t2i), ("i2t", i2t))
    }


def run(implementation: Callable[..., Hits], rounds: int) -> tuple[list[float], float, Hits]:
    """Call an implementation on one thread.

    Returns:
        The seconds of each call; the peak memory of the process in matrices, including the given one; the
        hits.
    """
    torch.set_num_threads(1)
    scores, image_of_caption = similarities()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        hits = implementation(scores, image_of_caption)
        seconds.append(time.perf_counter() - start)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return seconds, 1 + grown * 1024 / scores.nbytes, hits


if __name__ == "__main__":
    typer.run(main)
