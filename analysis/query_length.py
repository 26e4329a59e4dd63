"""Do short queries fail? T2I recall against the number of words: of captions as they are, and cut off."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from itr_core.metrics import CUTOFFS, CosineSimilarity, ranks
from itr_core.metrics.bootstrap import image_bootstrap
from itr_core.system.progress import Progress

STARTS = (1, 3, 5, 9, 11, 13, 16, 25)
"""Fewest words of each bucket. The bounds 8, 10, 12 and 15 are those of AsCL's Fig. 5."""
FEWEST = 30
"""Queries; a bucket with fewer goes with the next longer one."""
LONGEST = 20
MOST_QUERIES = 5_000
"""Of more captions a seeded sample is cut off."""


def by_length(
    t2i_ranks: np.ndarray,
    captions: Sequence[str],
    image_of_caption: np.ndarray,
    *,
    true_images: np.ndarray | None = None,
) -> pd.DataFrame:
    """Recall by the number of words of a query.

    Args:
        t2i_ranks: (m,) rank of each caption's image (`itr_core.metrics.ranks`).
        captions: m strings.
        owner: (m,) image row of each caption.
        true_images: (m,) of how many images of the gallery each caption is true, where that is known.

    Returns:
        One row per bucket that has queries: bucket ("5-8"), queries, then for k in 1, 5, 10 r1, r1_low,
        r1_high, ... (percent, 95 % bootstrap over images), median_rank and true_images, the mean of its
        queries (NaN where not known): among 20 images that are equally right the one that counts comes first
        1 time in 20.
    """
    if not 0 < len(captions) == len(t2i_ranks) == len(image_of_caption):
        raise ValueError(
            f"{len(captions)} captions, {len(t2i_ranks)} ranks and {len(image_of_caption)} owners."
        )
    records = []
    for name, chosen in buckets(captions):
        true = np.nan if true_images is None else float(np.mean(true_images[chosen]))
        figures = _recall(t2i_ranks[chosen], image_of_caption[chosen])
        records.append({"bucket": name, **figures, "true_images": true})
    return pd.DataFrame(records)


def truncated(
    encode_texts: Callable[[list[str]], np.ndarray],
    images: np.ndarray,
    captions: Sequence[str],
    image_of_caption: np.ndarray,
    *,
    longest: int = LONGEST,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Recall of the first 1, 2, ... `longest` words of every caption (AsCL, arXiv:2405.10029, Fig. 5).

    A caption that is shorter stays whole, so that every length has the same queries and what differs between
    two of them is the words alone. Of more than 5,000 captions a seeded sample asks; all images answer.

    Args:
        encode_texts: strings -> (q, d) unit rows, such as `DualEncoder.encode_texts`; called once per length,
            with every wording once.
        images: (n, d) unit rows.
        captions: m strings.
        owner: (m,) image row of each caption.

    Returns:
        One row per length up to the longest caption: words, queries, r1, r1_low, r1_high, ... and median_rank
        as in `by_length`, and sharing, the mean number of images one of whose captions begins with the same
        words: of so many, at the least, the query is true.
    """
    if not 0 < len(captions) == len(image_of_caption):
        raise ValueError(f"{len(captions)} captions and {len(image_of_caption)} owners.")
    split = [caption.split() for caption in captions]
    kept = np.arange(len(captions))
    if len(kept) > MOST_QUERIES:
        kept = np.sort(np.random.default_rng(seed).choice(len(kept), MOST_QUERIES, replace=False))
    lengths = range(1, min(longest, max(map(len, split))) + 1)
    records = []
    for length in lengths:
        every = [" ".join(words[:length]) for words in split]
        wording, column = np.unique([every[query] for query in kept], return_inverse=True)
        texts = encode_texts(wording.tolist())[column]
        place, _ = ranks(CosineSimilarity(images, texts), image_of_caption[kept])
        images_of: dict[str, set[int]] = {}
        for words, image in zip(every, image_of_caption.tolist(), strict=True):
            images_of.setdefault(words, set()).add(image)
        sharing = float(np.mean([len(images_of[every[query]]) for query in kept]))
        records.append({"words": length, **_recall(place, image_of_caption[kept]), "sharing": sharing})
        if progress:
            progress(length, len(lengths))
    return pd.DataFrame(records)


def buckets(captions: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Name and rows of every bucket of `by_length` among m captions, shortest first."""
    words = np.array([len(caption.split()) for caption in captions])
    bucket = np.searchsorted(STARTS[1:], words, side="right")
    counts = np.bincount(bucket, minlength=len(STARTS))
    spans: list[list[int]] = []
    for each in np.flatnonzero(counts).tolist():
        if spans and counts[spans[-1]].sum() < FEWEST:
            spans[-1].append(each)
        else:
            spans.append([each])
    if len(spans) > 1 and counts[spans[-1]].sum() < FEWEST:  # there is no longer one
        spans[-2:] = [spans[-2] + spans[-1]]
    for span in spans:
        low, after = STARTS[span[0]], span[-1] + 1
        name = f"{low}-{STARTS[after] - 1}" if after < len(STARTS) else f"{low}+"
        yield name, np.flatnonzero(np.isin(bucket, span))


def _recall(place: np.ndarray, image_of_caption: np.ndarray) -> dict[str, float]:
    _, image = np.unique(image_of_caption, return_inverse=True)
    figures: dict[str, float] = {"queries": len(place)}
    for k in CUTOFFS:
        hits = 100.0 * (place <= k)
        low, high = image_bootstrap(hits, image, int(image.max()) + 1)
        figures |= {f"r{k}": float(hits.mean()), f"r{k}_low": low, f"r{k}_high": high}
    return figures | {"median_rank": float(np.median(place))}
