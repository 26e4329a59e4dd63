"""Wrong results at rank 1, in both directions."""

import numpy as np
import pandas as pd

from itr_core.metrics import CosineSimilarity, ranks

_BLOCK = 1 << 24
"""Cosines that exist at once."""


def first_wrong_answers(images: np.ndarray, texts: np.ndarray, image_of_caption: np.ndarray) -> pd.DataFrame:
    """Find every query whose rank (`itr_core.metrics.ranks`) is not 1.

    Args:
        images: (n, d) float32 unit vectors.
        texts: (m, d) float32 unit vectors.
        image_of_caption: (m,) image row of each caption.

    Returns:
        One row per query. Columns: direction ("t2i" or "i2t"); query (row of a caption for T2I, of an image
        for I2T); found (row of the most similar image or caption that is not the query's own); rank (of the
        right answer, ties count half); margin (cosine of `found` minus that of the right answer); firsts
        (number of queries with `found` at rank 1).
    """
    images, texts = np.asarray(images), np.asarray(texts)
    n, m = len(images), len(texts)
    t2i_rank, i2t_rank = ranks(CosineSimilarity(images, texts), image_of_caption)
    own, best_own = np.empty(m, texts.dtype), np.full(n, -np.inf, texts.dtype)
    image, image_score = np.zeros(m, np.int64), np.full(m, -np.inf, texts.dtype)
    caption, caption_score = np.zeros(n, np.int64), np.empty(n, texts.dtype)
    first_caption = np.empty(n, np.int64)
    for start in range(0, n, step := max(1, _BLOCK // m)):
        block = images[start : start + step] @ texts.T
        first_caption[start : start + step] = block.argmax(1)
        pairs = np.flatnonzero((image_of_caption >= start) & (image_of_caption < start + step))
        own[pairs] = block[image_of_caption[pairs] - start, pairs]
        block[image_of_caption[pairs] - start, pairs] = -np.inf
        caption[start : start + step], caption_score[start : start + step] = block.argmax(1), block.max(1)
        score = block.max(0)
        better = score > image_score
        image[better] = block[:, better].argmax(0) + start
        image_score[better] = score[better]
    np.maximum.at(best_own, image_of_caption, own)

    t2i, i2t = np.flatnonzero(t2i_rank > 1), np.flatnonzero(i2t_rank > 1)
    first_caption[i2t] = caption[i2t]  # of captions with equal scores, the wrong one
    image_firsts = np.bincount(np.where(t2i_rank > 1, image, image_of_caption), minlength=n)
    caption_firsts = np.bincount(first_caption[~np.isnan(i2t_rank)], minlength=m)
    return pd.DataFrame(
        {
            "direction": np.repeat(["t2i", "i2t"], [len(t2i), len(i2t)]),
            "query": np.r_[t2i, i2t],
            "found": np.r_[image[t2i], caption[i2t]],
            "rank": np.r_[t2i_rank[t2i], i2t_rank[i2t]],
            "margin": np.r_[image_score[t2i] - own[t2i], caption_score[i2t] - best_own[i2t]],
            "firsts": np.r_[image_firsts[image[t2i]], caption_firsts[caption[i2t]]],
        }
    )
