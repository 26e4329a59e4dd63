"""T2I recall by the number of words of a query, of whole captions and of their first words."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from itr_core.metrics import CUTOFFS, CosineSimilarity, ranks
from itr_core.metrics.bootstrap import image_bootstrap
from itr_core.metrics.sampling import sample_rows
from itr_core.system.progress import Progress
from itr_core.vocabulary import word_counts

STARTS = (1, 3, 5, 9, 11, 13, 16, 25)
"""Smallest number of words of each bucket. The bounds 8, 10, 12 and 15 are those of AsCL's Fig. 5."""
MIN_QUERIES = 30
"""A bucket with fewer queries is merged with the next longer one."""
MAX_WORDS = 20
MAX_QUERIES = 5_000
"""Most captions that `truncated` cuts; of more, a seeded sample."""


def by_length(
    t2i_ranks: np.ndarray,
    captions: Sequence[str],
    image_of_caption: np.ndarray,
    *,
    true_images: np.ndarray | None = None,
) -> pd.DataFrame:
    """Compute T2I recall by the number of words of the caption.

    Args:
        t2i_ranks: (m,) rank of each caption's image (`itr_core.metrics.ranks`).
        captions: m strings.
        image_of_caption: (m,) image row of each caption.
        true_images: (m,) number of images that each caption is true of, if known.

    Returns:
        One row per bucket with queries. Columns: bucket ("5-8"); queries; for k in 1, 5, 10 r1, r1_low,
        r1_high, ... (percent, with the 95 % bootstrap interval over images); median_rank; and true_images,
        the mean over the queries of the bucket (NaN if not known). If a query is true of 20 images, its own
        image ranks first 1 time in 20 by chance.

    Raises:
        ValueError: lengths that differ, or no captions.
    """
    if not 0 < len(captions) == len(t2i_ranks) == len(image_of_caption):
        raise ValueError(
            f"Expected a rank and an image row for each of at least one caption; got {len(captions)} "
            f"captions, {len(t2i_ranks)} ranks and {len(image_of_caption)} image rows."
        )
    records = []
    for name, rows in buckets(captions):
        true = np.nan if true_images is None else float(np.mean(true_images[rows]))
        recall = _recall(t2i_ranks[rows], image_of_caption[rows])
        records.append({"bucket": name, **recall, "true_images": true})
    return pd.DataFrame(records)


def truncated(
    encode_texts: Callable[[list[str]], np.ndarray],
    images: np.ndarray,
    captions: Sequence[str],
    image_of_caption: np.ndarray,
    *,
    max_words: int = MAX_WORDS,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Compute T2I recall of the first 1, 2, ... words of every caption (AsCL, arXiv:2405.10029, Fig. 5).

    Shorter captions stay whole, so that all lengths have the same queries. Of more than 5,000 captions, a
    seeded sample is used as queries; the gallery always contains all images.

    Args:
        encode_texts: strings -> (q, d) unit vectors, such as `DualEncoder.encode_texts`. Called once per
            length, without repeated strings.
        images: (n, d) unit vectors.
        captions: m strings.
        image_of_caption: (m,) image row of each caption.
        max_words: longest length.
        seed: of the sample.
        progress: see `Progress`.

    Returns:
        One row per length, up to that of the longest caption. Columns: words; queries, r1, r1_low, r1_high,
        ... and median_rank as in `by_length`; and sharing, the mean number of images with a caption that
        begins with the same words: the query is true of at least as many images.

    Raises:
        ValueError: lengths that differ, or no captions.
    """
    if not 0 < len(captions) == len(image_of_caption):
        raise ValueError(
            f"Expected an image row for each of at least one caption; got {len(captions)} captions and "
            f"{len(image_of_caption)} image rows."
        )
    split = [caption.split() for caption in captions]
    sample = sample_rows(len(captions), MAX_QUERIES, seed)
    lengths = range(1, min(max_words, max(map(len, split))) + 1)
    records = []
    for length in lengths:
        beginnings = [" ".join(words[:length]) for words in split]
        distinct, column = np.unique([beginnings[query] for query in sample], return_inverse=True)
        texts = encode_texts(distinct.tolist())[column]
        t2i_ranks, _ = ranks(CosineSimilarity(images, texts), image_of_caption[sample])
        images_of: dict[str, set[int]] = {}
        for beginning, image in zip(beginnings, image_of_caption.tolist(), strict=True):
            images_of.setdefault(beginning, set()).add(image)
        sharing = float(np.mean([len(images_of[beginnings[query]]) for query in sample]))
        records.append({"words": length, **_recall(t2i_ranks, image_of_caption[sample]), "sharing": sharing})
        if progress:
            progress(length, len(lengths))
    return pd.DataFrame(records)


def buckets(captions: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name ("5-8") and the rows of every bucket of captions, shortest captions first."""
    return buckets_of_lengths(word_counts(captions))


def buckets_of_lengths(words: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the buckets of captions with these numbers of words (m,), see `buckets`."""
    bucket = np.searchsorted(STARTS[1:], words, side="right")
    counts = np.bincount(bucket, minlength=len(STARTS))
    spans: list[list[int]] = []
    for each in np.flatnonzero(counts).tolist():
        if spans and counts[spans[-1]].sum() < MIN_QUERIES:
            spans[-1].append(each)
        else:
            spans.append([each])
    if len(spans) > 1 and counts[spans[-1]].sum() < MIN_QUERIES:  # the last bucket has no longer one
        spans[-2:] = [spans[-2] + spans[-1]]
    for span in spans:
        low, after = STARTS[span[0]], span[-1] + 1
        name = f"{low}-{STARTS[after] - 1}" if after < len(STARTS) else f"{low}+"
        yield name, np.flatnonzero(np.isin(bucket, span))


def _recall(t2i_ranks: np.ndarray, image_of_caption: np.ndarray) -> dict[str, float]:
    _, image = np.unique(image_of_caption, return_inverse=True)
    columns: dict[str, float] = {"queries": len(t2i_ranks)}
    for k in CUTOFFS:
        hits = 100.0 * (t2i_ranks <= k)
        low, high = image_bootstrap(hits, image, int(image.max()) + 1)
        columns |= {f"r{k}": float(hits.mean()), f"r{k}_low": low, f"r{k}_high": high}
    return columns | {"median_rank": float(np.median(t2i_ranks))}
