"""Retrieval in two steps: the best candidates by cosine, ranked again by comparing words with places."""

import numpy as np
import torch

from itr_core.encoders.token_similarity import local_similarity
from itr_core.metrics import CosineSimilarity, ranks


def fused(
    scores: np.ndarray, places: np.ndarray, words: np.ndarray, mask: np.ndarray, u1: float
) -> np.ndarray:
    """u1 S_local + (1 - u1) `scores` (n,), of one picture and n captions or of n pictures and one caption.

    places: (1 or n, P, d), words: (n or 1, L, d), mask: (n or 1, L) bool; see `local_similarity`.
    """
    with torch.inference_mode():
        local = local_similarity(
            torch.from_numpy(places.astype(np.float32)),
            torch.from_numpy(words.astype(np.float32)),
            torch.from_numpy(mask),
        )
    return u1 * local.numpy().ravel() + (1 - u1) * scores


def reranked_ranks(
    images: tuple[np.ndarray, np.ndarray],
    texts: tuple[np.ndarray, np.ndarray, np.ndarray],
    image_of_caption: np.ndarray,
    *,
    u1: float,
    candidates: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """`itr_core.metrics.ranks` where every query ranks its best candidates again by `fused`.

    Candidates are chosen by cosine alone: whether the right answer is among them is part of the result, and
    where it is not, its rank is that by cosine.

    images: `encode_images(..., tokens=True)`. texts: `encode_texts(..., tokens=True)`.
    """
    (v, places), (t, words, mask) = images, texts
    t2i, i2t = ranks(CosineSimilarity(v, t), image_of_caption)
    for caption, own_image in enumerate(image_of_caption):
        found, scores = _best(v @ t[caption], candidates)
        one = slice(caption, caption + 1)
        again = fused(scores, places[found], words[one], mask[one], u1)
        t2i[caption] = _rank(again, found == own_image, t2i[caption])
    for image in np.flatnonzero(~np.isnan(i2t)):
        found, scores = _best(t @ v[image], candidates)
        again = fused(scores, places[image : image + 1], words[found], mask[found], u1)
        i2t[image] = _rank(again, image_of_caption[found] == image, i2t[image])
    return t2i, i2t


def _best(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of the k highest scores, and these."""
    found = np.argsort(-scores, kind="stable")[:k]
    return found, scores[found]


def _rank(scores: np.ndarray, right: np.ndarray, otherwise: float) -> float:
    """The rank of the best right answer among the wrong ones, ties counted half as in `ranks`."""
    if not right.any():
        return otherwise
    best, rivals = scores[right].max(), scores[~right]
    return 1 + float((rivals > best).sum() + (rivals == best).sum() / 2)
