"""Text encoding against open_clip's own path, in one run: `python benchmarks/text_encoding.py [--threads 2]`.

ViT-B-32 with random weights (speed does not depend on them), from strings to unit vectors on both sides: 64
ordinary captions of 8 to 14 words, and single queries. Rounds of the two paths alternate, so that a busy
machine hurts both; the figure is the median over rounds of the ratio within a round.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from itr_core import DualEncoder, load_encoder

SUBJECTS = [
    "A brown dog",
    "Two young children",
    "An old man in a hat",
    "The woman",
    "Three cyclists",
    "A small bird",
]
VERBS = [
    "is running across",
    "are playing on",
    "sits quietly near",
    "jumps over",
    "walks slowly along",
    "looks at",
]
PLACES = [
    "the sandy beach",
    "a busy street",
    "the green park",
    "a snowy mountain",
    "the wooden bridge",
    "a calm lake",
]
REST = [
    "in the afternoon",
    "while it rains",
    "with a red ball",
    "as the sun goes down behind the hills",
    "at night",
    "",
]


def captions(count: int, seed: int = 0) -> list[str]:
    """Ordinary captions of 8 to 14 words, all different."""
    rng, found = random.Random(seed), dict[str, None]()
    while len(found) < count:
        text = " ".join(rng.choice(part) for part in (SUBJECTS, VERBS, PLACES, REST)).strip() + "."
        if 8 <= len(text.split()) <= 14:
            found[text] = None
    return list(found)


def open_clip_path(encoder: DualEncoder, texts: list[str]) -> np.ndarray:
    """What open_clip's README does."""
    with torch.no_grad():
        features = encoder.model.encode_text(encoder.tokenizer(texts))
        return F.normalize(features, dim=-1).numpy()


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(encoder: DualEncoder, texts: list[str], rounds: int) -> dict[str, float]:
    """Milliseconds of both paths and their ratio, medians over `rounds`; the largest difference."""
    ours, theirs = encoder.encode_texts(texts), open_clip_path(encoder, texts)
    pairs = [
        (seconds(lambda: open_clip_path(encoder, texts)), seconds(lambda: encoder.encode_texts(texts)))
        for _ in range(rounds)
    ]
    return {
        "open_clip_ms": 1e3 * statistics.median(theirs for theirs, _ in pairs),
        "pairscope_ms": 1e3 * statistics.median(ours for _, ours in pairs),
        "ratio": statistics.median(theirs / ours for theirs, ours in pairs),
        "max_difference": float(np.abs(ours - theirs).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ViT-B-32/none")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    encoder = load_encoder(options.model, device="cpu")
    texts = captions(64)
    batch = compare(encoder, texts, options.rounds)
    single = [compare(encoder, [text], options.rounds) for text in texts[:8]]
    query = {key: statistics.median(run[key] for run in single) for key in single[0]}
    print(
        json.dumps(
            {"model": options.model, "threads": options.threads, "batch_of_64": batch, "one_query": query},
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
