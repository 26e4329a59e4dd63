"""Causes of misses: one cause for every query whose right answer is not at rank 1.

A miss pairs a caption with an image that is not its own: for T2I the query with the image at rank 1, for I2T
the caption at rank 1 with the query. Its cause is the first one that holds:

1. false negative: the caption is true of the image, which is not annotated. The model is right.
2. near-duplicate: the image and the caption's own image look the same. By truth: all captions of one image
   are true of the other. By embeddings: see `MAX_DUPLICATE_DISTANCE`.
3. hub: the result is at rank 1 of more queries than chance explains, see `MAX_HUB_PROBABILITY`.
4. wrong object, attribute, count, setting or relation: the most severe part of the caption that is false of
   the image, see `analysis.misses.differences`.
5. unknown.

If the truth is known (exactly in Picturebook, else from people's judgments), it decides on 1, and in
Picturebook on 4. Otherwise texts are compared: a caption counts as true of an image if one of the image's
captions contains all that it says, in any order.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pandas as pd

from analysis.lexicon import content
from analysis.misses.differences import CAUSES, Difference, difference_by_text, difference_by_truth
from analysis.misses.wrong_answers import first_wrong_answers
from itr_core.pairs.pairset import Relevance
from itr_core.picturebook.relevance import SceneRelevance
from itr_core.picturebook.semantics import SceneFacts

MAX_DUPLICATE_DISTANCE = 0.05
"""Two images look the same to a model if their squared distance is at most this share of the mean over all
pairs of images. The share means the same for models that spread images widely and for those that do not."""
MAX_HUB_PROBABILITY = 0.001
"""A hub is at rank 1 of so many queries that chance would make one such item in a thousand galleries. If a
query finds every item with the same probability, the number of queries is Poisson distributed."""
ALL_CAUSES = ("false negative", "near-duplicate", "hub", *dict.fromkeys(CAUSES.values()), "unknown")

_CELLS = 1 << 26
"""Entries of a relevance matrix that exist at once."""


def misses(
    images: np.ndarray,
    texts: np.ndarray,
    image_of_caption: np.ndarray,
    captions: Sequence[str],
    truth: Relevance | None = None,
) -> pd.DataFrame:
    """Find the cause of every miss at rank 1.

    Args:
        images: (n, d) float32 unit vectors.
        texts: (m, d) float32 unit vectors.
        image_of_caption: (m,) image row of each caption.
        captions: m strings.
        truth: which captions are true of which images, if known (see `analysis.ground_truth`).

    Returns:
        One row per miss. Columns: those of `first_wrong_answers` (direction, query, found, rank, margin,
        firsts); cause (one of `ALL_CAUSES`); by ("truth", "text" or "embeddings": what decided the cause);
        concept, captioned, depicted (the difference of caption and image, also if it is not the cause; "" if
        not known); detail (the three as one string, "colour: red -> blue").

    Raises:
        ValueError: shapes that do not fit.
    """
    from scipy.special import pdtrc  # half a second to import

    images, image_of_caption = np.asarray(images), np.asarray(image_of_caption)
    n, m = len(images), len(image_of_caption)
    if len(captions) != m:
        raise ValueError(f"{len(captions)} captions, but image_of_caption has {m} entries.")
    table = first_wrong_answers(images, texts, image_of_caption)
    t2i = (table["direction"] == "t2i").to_numpy()
    caption = np.where(t2i, table["query"], table["found"])
    image = np.where(t2i, table["found"], table["query"])
    own_image = image_of_caption[caption]

    captions_of = _captions_of(image_of_caption, n)
    if truth is None:
        same_by_truth = np.zeros(len(table), bool)
        false_negative = np.array(
            [_is_implied(captions, captions_of[i], c) for i, c in zip(image, caption, strict=True)], bool
        )
    else:
        false_negative = _are_true(truth, image, caption, m)
        same_by_truth = _all_captions_true(truth, image, own_image, captions_of, m)
        same_by_truth |= _all_captions_true(truth, own_image, image, captions_of, m)
    same_by_embedding = _look_same(images, image, own_image)
    queries, items = np.where(t2i, m, n), np.where(t2i, n, m)
    hub = items * pdtrc(table["firsts"] - 1, queries / items) < MAX_HUB_PROBABILITY

    exact = truth if isinstance(truth, SceneRelevance) else None
    explain = _by_truth(exact) if exact else _by_text(captions, captions_of)
    differences = [
        None if true else explain(i, c) for i, c, true in zip(image, caption, false_negative, strict=True)
    ]
    wrong = [CAUSES[each.concept] if each else "unknown" for each in differences]
    table["cause"] = np.select(
        [false_negative, same_by_truth | same_by_embedding, hub], ALL_CAUSES[:3], wrong
    )
    table["by"] = np.select(
        [false_negative, same_by_truth, same_by_embedding | hub],
        ["text" if truth is None else "truth", "truth", "embeddings"],
        "truth" if exact else "text",
    )
    for field in Difference._fields:
        table[field] = [getattr(each, field) if each else "" for each in differences]
    table["detail"] = [str(each) if each else "" for each in differences]
    return table


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each cause among the misses of each direction.

    Args:
        table: of `misses`.

    Returns:
        Index: `ALL_CAUSES`. Columns: t2i, i2t, in [0, 1].
    """
    found = {}
    for direction in ("t2i", "i2t"):
        causes = table["cause"].to_numpy()[table["direction"].to_numpy() == direction]
        found[direction] = [(causes == cause).sum() / max(1, len(causes)) for cause in ALL_CAUSES]
    return pd.DataFrame(found, index=list(ALL_CAUSES))


def confusion(table: pd.DataFrame) -> pd.DataFrame:
    """Count the differences between captions and images.

    Differences without a `depicted` counterpart are skipped.

    Args:
        table: of `misses`.

    Returns:
        Columns: concept, captioned, depicted, misses. The most severe concepts come first, and within a
        concept the most frequent differences.
    """
    known = table.loc[table["depicted"] != "", ["concept", "captioned", "depicted"]]
    counts = known.value_counts(sort=False).rename("misses").reset_index()
    severity = counts["concept"].map({concept: place for place, concept in enumerate(CAUSES)})
    return counts.iloc[np.lexsort((-counts["misses"], severity))].reset_index(drop=True)


def worst(table: pd.DataFrame, count: int = 20) -> pd.DataFrame:
    """Return the `count` misses with the highest rank of the right answer; of equal ranks, by margin."""
    return table.sort_values(["rank", "margin"], ascending=False, kind="stable").head(count)


def most_confident(table: pd.DataFrame, count: int = 20) -> pd.DataFrame:
    """Return the `count` misses with the largest margin of the wrong answer over the right one."""
    return table.sort_values(["margin", "rank"], ascending=False, kind="stable").head(count)


def _captions_of(image_of_caption: np.ndarray, n: int) -> list[np.ndarray]:
    """Return the rows of the captions of each image."""
    order = np.argsort(image_of_caption, kind="stable")
    return np.split(order, np.searchsorted(image_of_caption[order], np.arange(1, n)))


def _are_true(truth: Relevance, image: np.ndarray, caption: np.ndarray, m: int) -> np.ndarray:
    """Return, for all k, if caption[k] is true of image[k]; (k,) bool."""
    result = np.zeros(len(image), bool)
    rows, place = np.unique(image, return_inverse=True)
    for start in range(0, len(rows), step := max(1, _CELLS // m)):
        block = np.flatnonzero((place >= start) & (place < start + step))
        result[block] = truth.matrix(rows[start : start + step])[place[block] - start, caption[block]]
    return result


def _all_captions_true(
    truth: Relevance, image: np.ndarray, other: np.ndarray, captions_of: list[np.ndarray], m: int
) -> np.ndarray:
    """Return, for all k, if other[k] has captions and all of them are true of image[k]; (k,) bool."""
    counts = np.array([len(captions_of[row]) for row in other], dtype=np.int64)
    caption = np.concatenate([np.empty(0, np.int64), *(captions_of[row] for row in other)])
    true = _are_true(truth, np.repeat(image, counts), caption, m)
    return (counts > 0) & (np.bincount(np.repeat(np.arange(len(other)), counts), ~true, len(other)) == 0)


def _is_implied(captions: Sequence[str], others: np.ndarray, caption: int) -> bool:
    """Return true if a caption names objects and one of the `others` contains all that it says."""
    wanted = content(captions[caption])
    return bool(wanted.things) and any(content(captions[each]).says(wanted) for each in others)


def _look_same(images: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """See `MAX_DUPLICATE_DISTANCE`; (k,) bool.

    For unit vectors |x - y|^2 = 2 - 2 x y, and its mean over all pairs is 2 - 2 |mean|^2.
    """
    half_mean = 1 - np.square(images.mean(0, dtype=np.float64)).sum()
    cosine = np.empty(len(one))
    for start in range(0, len(one), step := 10_000):
        block = slice(start, start + step)
        cosine[block] = np.einsum("kd,kd->k", images[one[block]], images[other[block]], dtype=np.float64)
    return 1 - cosine <= MAX_DUPLICATE_DISTANCE * half_mean


def _by_truth(truth: SceneRelevance) -> Callable[[int, int], Difference | None]:
    facts = cache(lambda image: SceneFacts(truth.scenes[image]))
    return lambda image, caption: difference_by_truth(facts(image), truth.meanings[caption])


def _by_text(
    captions: Sequence[str], captions_of: list[np.ndarray]
) -> Callable[[int, int], Difference | None]:
    return lambda image, caption: difference_by_text(
        content(captions[caption]), [content(captions[each]) for each in captions_of[image]]
    )
