"""Re-ranking: the best candidates by cosine are ranked again by the similarity of word and patch tokens."""

import numpy as np
import torch

from itr_core.encoders.token_similarity import local_similarity
from itr_core.metrics import CosineSimilarity, ranks


def fused_scores(
    scores: np.ndarray, patches: np.ndarray, words: np.ndarray, mask: np.ndarray, u1: float
) -> np.ndarray:
    """Compute u1 S_local + (1 - u1) cosine for one image and n captions, or n images and one caption.

    Args:
        scores: (n,) cosines.
        patches: (1, P, d) or (n, P, d) patch tokens; see `local_similarity`.
        words: (n, L, d) or (1, L, d) word tokens.
        mask: (n, L) or (1, L) bool, True at words.
        u1: weight of the local similarity, in [0, 1].

    Returns:
        (n,).
    """
    with torch.inference_mode():
        local = local_similarity(
            torch.from_numpy(patches.astype(np.float32)),
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
    """Compute `itr_core.metrics.ranks` after every query has re-ranked its candidates by `fused_scores`.

    Candidates are selected by cosine. If no relevant item is among them, the rank by cosine is returned.

    Args:
        images: embeddings and patch tokens, from `encode_images(..., tokens=True)`.
        texts: embeddings, word tokens and mask, from `encode_texts(..., tokens=True)`.
        image_of_caption: (m,) row of each caption's image.
        u1: weight of the local similarity, in [0, 1].
        candidates: number of items that each query re-ranks.

    Returns:
        T2I ranks (m,) and I2T ranks (n,), NaN for images without captions; see `itr_core.metrics.ranks`.
    """
    (v, patches), (t, words, mask) = images, texts
    t2i, i2t = ranks(CosineSimilarity(v, t), image_of_caption)
    for caption, own_image in enumerate(image_of_caption):
        found, scores = _best(v @ t[caption], candidates)
        one = slice(caption, caption + 1)
        fused = fused_scores(scores, patches[found], words[one], mask[one], u1)
        t2i[caption] = _rank(fused, found == own_image, t2i[caption])
    for image in np.flatnonzero(~np.isnan(i2t)):
        found, scores = _best(t @ v[image], candidates)
        fused = fused_scores(scores, patches[image : image + 1], words[found], mask[found], u1)
        i2t[image] = _rank(fused, image_of_caption[found] == image, i2t[image])
    return t2i, i2t


def _best(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the k highest scores, best first, and these scores."""
    found = np.argsort(-scores, kind="stable")[:k]
    return found, scores[found]


def _rank(scores: np.ndarray, relevant: np.ndarray, default: float) -> float:
    """Return the rank of the best relevant item among the irrelevant ones; ties count half, as in `ranks`."""
    if not relevant.any():
        return default
    best, others = scores[relevant].max(), scores[~relevant]
    return 1 + float((others > best).sum() + (others == best).sum() / 2)
