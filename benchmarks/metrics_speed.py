"""Ranks of every query, both ways, against CLIP_benchmark's recall at 1, 5 and 10 on the same matrix.

    python benchmarks/metrics_speed.py

Each side runs in a process of its own, on one thread, several times. The matrix, 25,000 captions by 5,000
images as on COCO's test split, is random, with the own image lifted so that R@1 is neither near chance nor
near 100. How many queries are a hit for one and a miss for the other is printed, too.
"""

import argparse
import resource
import time
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from torch import Tensor

from itr_core.metrics import CUTOFFS, ranks

IMAGES, EACH = 5000, 5
BATCH = 64


# `recall_at_k` and `batchify` are CLIP_benchmark's, word for word but for types and shorter comments:
# clip_benchmark/metrics/zeroshot_retrieval.py of version 1.6.2, MIT license, Copyright (c) 2022 Mehdi Cherti.
# The package itself would bring webdataset and pycocoevalcap along.
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


def batchify(func: Any, X: Tensor, Y: Tensor, batch_size: int, device: str, **kwargs: Any) -> Tensor:
    """Apply `func` to rows of X and Y, a batch at a time."""
    results = []
    for start in range(0, len(X), batch_size):
        end = start + batch_size
        x = X[start:end].to(device)
        y = Y[start:end].to(device)
        result = func(x, y, **kwargs).cpu()
        results.append(result)
    return torch.cat(results)


def matrix() -> tuple[np.ndarray, np.ndarray]:
    """Similarities (captions, images) float32 and the image of each caption."""
    image_of_caption = np.repeat(np.arange(IMAGES), EACH)
    scores = np.random.default_rng(0).standard_normal((len(image_of_caption), IMAGES), dtype=np.float32)
    scores[np.arange(len(image_of_caption)), image_of_caption] += 4
    return scores, image_of_caption


def theirs(scores: np.ndarray, image_of_caption: np.ndarray) -> dict[str, np.ndarray]:
    """Hits as CLIP_benchmark's `evaluate` has them."""
    similarity = torch.from_numpy(scores)
    positive_pairs = torch.zeros_like(similarity, dtype=torch.bool)
    positive_pairs[torch.arange(len(similarity)), torch.from_numpy(image_of_caption)] = True
    hits = {}
    for k in CUTOFFS:
        hits[f"t2i@{k}"] = batchify(recall_at_k, similarity, positive_pairs, BATCH, "cpu", k=k) > 0
        hits[f"i2t@{k}"] = batchify(recall_at_k, similarity.T, positive_pairs.T, BATCH, "cpu", k=k) > 0
    return {name: hit.numpy() for name, hit in hits.items()}


def ours(scores: np.ndarray, image_of_caption: np.ndarray) -> dict[str, np.ndarray]:
    """Hits from the ranks, which hold those of every other K as well."""
    t2i, i2t = ranks(scores.T, image_of_caption)
    return {
        f"{direction}@{k}": rank <= k for k in CUTOFFS for direction, rank in (("t2i", t2i), ("i2t", i2t))
    }


def run(side: Callable[..., dict[str, np.ndarray]], rounds: int) -> tuple[list[float], float, dict[str, Any]]:
    """Seconds of each round; the peak of the process in matrices, the one it is given counted; the hits."""
    torch.set_num_threads(1)
    scores, image_of_caption = matrix()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        hits = side(scores, image_of_caption)
        seconds.append(time.perf_counter() - start)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return seconds, 1 + grown * 1024 / scores.nbytes, hits


def main() -> None:
    """Run both sides one after the other and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    found = []
    for side in (theirs, ours):
        with get_context("spawn").Pool(1) as pool:
            found.append(pool.apply(run, (side, rounds)))
    (slow, their_peak, their_hits), (fast, our_peak, our_hits) = found
    differ = sum(int((their_hits[name] != our_hits[name]).sum()) for name in their_hits)
    print(", ".join(f"{name} {100 * hit.mean():.1f}" for name, hit in our_hits.items()))
    print(f"queries that differ at any K: {differ}")
    print(f"CLIP_benchmark  {min(slow):6.2f} s (first {slow[0]:.2f}), peak {their_peak:.2f} matrices")
    print(f"ranks           {min(fast):6.2f} s (first {fast[0]:.2f}), peak {our_peak:.2f} matrices")
    print(f"first calls 1/{slow[0] / fast[0]:.1f}, best calls 1/{min(slow) / min(fast):.1f}")


if __name__ == "__main__":
    main()
