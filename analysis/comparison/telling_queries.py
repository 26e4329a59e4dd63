"""Captions of a gallery that tell models apart, and those that one model mends or breaks."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from analysis.comparison.agreement import rank_biased_overlap
from analysis.comparison.compared import Compared
from itr_core.vocabulary import word_counts

WORDS = 8
"""Number of words up to which a caption is preferred to longer ones."""


def telling_queries(models: Sequence[Compared], captions: Sequence[str], most: int) -> list[int]:
    """Return the captions whose first 12 images differ most between models, best first.

    Short captions come first. Then the order is by how much more of the right images one model finds than
    another (`Compared.found`), then by how little the rankings of neighbouring models agree. Of equal texts,
    one is returned.

    Args:
        models: at least two models of the same gallery.
        captions: m texts.
        most: number of captions to return; fewer, if fewer distinguish the models.
    """
    found = np.array([model.found for model in models])
    spread = np.nan_to_num(found.max(axis=0) - found.min(axis=0))
    agreement = np.min([rank_biased_overlap(a.first, b.first) for a, b in pairwise(models)], axis=0)
    long = word_counts(captions) > WORDS
    chosen: dict[str, int] = {}
    for row in np.lexsort([agreement, -spread, long]).tolist():
        if len(chosen) == most:
            break
        if spread[row]:
            chosen.setdefault(captions[row], row)
    return list(chosen.values())


def mended_and_broken(before: Compared, after: Compared) -> tuple[np.ndarray, np.ndarray]:
    """Return the captions whose first image becomes right, and those whose first image becomes wrong.

    Both are rows of captions, those first in which the share of right images that are found
    (`Compared.found`) changes most.
    """
    gain = np.nan_to_num(after.found - before.found)
    was, now = before.right[:, 0], after.right[:, 0]
    mended, broken = np.flatnonzero(~was & now), np.flatnonzero(was & ~now)
    return mended[np.argsort(-gain[mended], kind="stable")], broken[np.argsort(gain[broken], kind="stable")]
