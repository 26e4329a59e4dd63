"""Why a query was not answered right at once: one cause for every miss at rank 1.

A miss pairs a caption with an image that is not its own: for T2I the query with the first image, for I2T the
first caption with the query. Both are judged alike, and get the first cause that holds:

1. false negative: the caption is true of the image; the model is right, and only the pairs do not know.
2. near-duplicate: the image and the caption's own look the same. By truth: all that is said of the one is
   true of the other, too. Else by their embeddings, see `ALIKE`.
3. hub: what was found is the first answer to more queries than chance explains, see `HUB`.
4. wrong object, attribute, count, setting or relation: the gravest part of the caption that the image does
   not bear out, see `analysis.misses.differences`.
5. unknown.

With truth (exact on Picturebook, else people's judgments) 1 is known, with Picturebook's also 4. Without,
texts are compared: a caption counts as true of an image if one of the image's captions says all that it
says, in whatever order.
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

ALIKE = 0.05
"""Two images look the same to a model if their squared distance is at most this share of the mean over all
pairs of images; so it means the same to a model that spreads them widely and to one that does not."""
HUB = 0.001
"""A hub is the first answer to so many queries that chance would make one such item in a thousand galleries:
counts are Poisson distributed if a query finds every item with the same probability."""
ALL_CAUSES = ("false negative", "near-duplicate", "hub", *dict.fromkeys(CAUSES.values()), "unknown")

_CELLS = 1 << 26  # of a relevance matrix that exist at once


def misses(
    images: np.ndarray,
    texts: np.ndarray,
    image_of_caption: np.ndarray,
    captions: Sequence[str],
    truth: Relevance | None = None,
) -> pd.DataFrame:
    """One row for every query that is not answered right at rank 1.

    Args:
        images: (n, d) float32, unit rows. texts: (m, d), likewise.
        owner: (m,) integers in [0, n), the image of each caption.
        captions: m texts.
        truth: which captions are true of which images (see `analysis.ground_truth`, or a source's judgments).

    Returns:
        The columns of `first_wrong_answers` (way, query, found, rank, margin, firsts), and
        cause: one of `ALL_CAUSES`. by: "truth", "text" or "embeddings", whatever told the cause.
        concept, captioned, depicted: in what the caption and the image differ, what the caption says and what the
        image shows instead; also where that is not the cause; "" where nothing is known. detail: the three
        in one, "colour: red -> blue".

    Raises:
        ValueError: shapes that do not fit.
    """
    from scipy.special import pdtrc  # half a second to import

    images, image_of_caption = np.asarray(images), np.asarray(image_of_caption)
    counts = len(image_of_caption), len(images)
    if len(captions) != len(image_of_caption):
        raise ValueError(f"{len(captions)} captions, but owner tells the image of {len(image_of_caption)}.")
    table = first_wrong_answers(images, texts, image_of_caption)
    t2i = (table["direction"] == "t2i").to_numpy()
    caption = np.where(t2i, table["query"], table["found"])
    image = np.where(t2i, table["found"], table["query"])
    right = image_of_caption[caption]

    told = _captions_of(image_of_caption, len(images))
    if truth is None:
        same = np.zeros(len(table), bool)
        hidden = np.array([_said(captions, told[i], c) for i, c in zip(image, caption, strict=True)], bool)
    else:
        hidden = _true(truth, image, caption, len(image_of_caption))
        same = _all_true(truth, image, right, told, len(image_of_caption))
        same |= _all_true(truth, right, image, told, len(image_of_caption))
    alike = _alike(images, image, right)
    queries, items = (np.where(t2i, *pair) for pair in (counts, counts[::-1]))
    hub = items * pdtrc(table["firsts"] - 1, queries / items) < HUB

    exact = truth if isinstance(truth, SceneRelevance) else None
    explain = _by_truth(exact) if exact else _by_text(captions, told)
    differences = [None if true else explain(i, c) for i, c, true in zip(image, caption, hidden, strict=True)]
    wrong = [CAUSES[each.concept] if each else "unknown" for each in differences]
    table["cause"] = np.select([hidden, same | alike, hub], ALL_CAUSES[:3], wrong)
    table["by"] = np.select(
        [hidden, same, alike | hub],
        ["text" if truth is None else "truth", "truth", "embeddings"],
        "truth" if exact else "text",
    )
    for field in Difference._fields:
        table[field] = [getattr(each, field) if each else "" for each in differences]
    table["detail"] = [str(each) if each else "" for each in differences]
    return table


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Causes, in the order in which they are tried, by way: the share of its misses, in [0, 1]."""
    by_way = pd.crosstab(table["cause"], table["direction"], normalize="columns")
    return by_way.reindex(index=list(ALL_CAUSES), columns=["t2i", "i2t"], fill_value=0.0)


def confusion(table: pd.DataFrame) -> pd.DataFrame:
    """What captions say and images show instead: concept, captioned, depicted, misses; the commonest first.

    Concepts are in the order of gravity. Differences without a known counterpart are left out, such as an
    object that nothing takes the place of.
    """
    known = table.loc[table["depicted"] != "", ["concept", "captioned", "depicted"]]
    counts = known.value_counts(sort=False).rename("misses").reset_index()
    gravity = counts["concept"].map({concept: place for place, concept in enumerate(CAUSES)})
    return counts.iloc[np.lexsort((-counts["misses"], gravity))].reset_index(drop=True)


def worst(table: pd.DataFrame, count: int = 20) -> pd.DataFrame:
    """The `count` misses whose right answer comes last; among equals, those the model is surest of."""
    return table.sort_values(["rank", "margin"], ascending=False, kind="stable").head(count)


def most_confident(table: pd.DataFrame, count: int = 20) -> pd.DataFrame:
    """The `count` misses where the wrong answer is farthest ahead of the right one."""
    return table.sort_values(["margin", "rank"], ascending=False, kind="stable").head(count)


def _captions_of(image_of_caption: np.ndarray, n: int) -> list[np.ndarray]:
    """The captions of each image."""
    order = np.argsort(image_of_caption, kind="stable")
    return np.split(order, np.searchsorted(image_of_caption[order], np.arange(1, n)))


def _true(truth: Relevance, image: np.ndarray, caption: np.ndarray, m: int) -> np.ndarray:
    """Whether caption[k] is true of image[k], for all k; (k,) bool."""
    result = np.zeros(len(image), bool)
    rows, place = np.unique(image, return_inverse=True)
    for start in range(0, len(rows), step := max(1, _CELLS // m)):
        here = np.flatnonzero((place >= start) & (place < start + step))
        result[here] = truth.matrix(rows[start : start + step])[place[here] - start, caption[here]]
    return result


def _all_true(
    truth: Relevance, image: np.ndarray, other: np.ndarray, told: list[np.ndarray], m: int
) -> np.ndarray:
    """Whether other[k] has captions and all of them are true of image[k]; (k,) bool."""
    counts = np.array([len(told[row]) for row in other], dtype=np.int64)
    caption = np.concatenate([np.empty(0, np.int64), *(told[row] for row in other)])
    true = _true(truth, np.repeat(image, counts), caption, m)
    return (counts > 0) & (np.bincount(np.repeat(np.arange(len(other)), counts), ~true, len(other)) == 0)


def _said(captions: Sequence[str], told: np.ndarray, caption: int) -> bool:
    """Whether one of the captions `told` says all that `caption` says (and that is something)."""
    wanted = content(captions[caption])
    return bool(wanted.things) and any(content(captions[each]).says(wanted) for each in told)


def _alike(images: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """See `ALIKE`. |x - y|^2 = 2 - 2 x y for unit vectors; its mean over all pairs is 2 - 2 |mean|^2."""
    usual = 1 - np.square(images.mean(0, dtype=np.float64)).sum()
    cosine = np.empty(len(one))
    for start in range(0, len(one), step := 10_000):
        some = slice(start, start + step)
        cosine[some] = np.einsum("kd,kd->k", images[one[some]], images[other[some]], dtype=np.float64)
    return 1 - cosine <= ALIKE * usual


def _by_truth(truth: SceneRelevance) -> Callable[[int, int], Difference | None]:
    facts = cache(lambda image: SceneFacts(truth.scenes[image]))
    return lambda image, caption: difference_by_truth(facts(image), truth.meanings[caption])


def _by_text(captions: Sequence[str], told: list[np.ndarray]) -> Callable[[int, int], Difference | None]:
    return lambda image, caption: difference_by_text(
        content(captions[caption]), [content(captions[each]) for each in told[image]]
    )
