"""Rank by u1 S_local + (1 - u1) cosine: the best candidates by cosine again, or all images and captions."""

import tempfile
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike

from itr_core.encoders.heads import LocalRole
from itr_core.encoders.token_similarity import local_similarity
from itr_core.metrics import CosineSimilarity, ranks

IMAGE_BLOCK, CAPTION_BLOCK = 32, 512
"""Images and captions whose local similarity is computed at a time."""


def on_disk(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> np.ndarray:
    """Return an array of zeros in a temporary file, which the operating system deletes with the array."""
    if not all(shape):
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def hierarchical_similarity(
    images: tuple[np.ndarray, np.ndarray],
    texts: tuple[np.ndarray, np.ndarray, np.ndarray],
    local: LocalRole,
    *,
    device: Any = "cpu",
) -> np.ndarray:
    """Compute S = u1 S_local + (1 - u1) cosine of all images with all captions.

    It is computed in blocks of 32 images and 512 captions and written to a temporary file, so that memory
    depends neither on the number of images nor on that of captions.

    Args:
        images: embeddings (n, d) and patch tokens (n, P, d'), from `encode_images(..., tokens=True)`.
        texts: embeddings (m, d), word tokens (m, L, d') and mask (m, L), from
            `encode_texts(..., tokens=True)`.
        local: weight and attention heads of the local similarity.
        device: device that computes it.

    Returns:
        (n, m) float32.

    References:
        Gong et al., AsCL, arXiv:2405.10029, hierarchical fusion; unlike the authors' evaluation code, no
        embedding depends on the other modality.
    """
    (v, patches), (t, words, mask) = images, texts
    similarity = on_disk((len(v), len(t)))
    order = np.argsort(mask.sum(axis=1), kind="stable")  # captions of similar length need the least padding
    for captions in np.split(order, range(CAPTION_BLOCK, len(order), CAPTION_BLOCK)):
        longest = max(1, int(np.flatnonzero(mask[captions].any(axis=0)).max(initial=0)) + 1)
        of_captions = torch.as_tensor(words[captions, :longest], dtype=torch.float32, device=device)
        at_words = torch.as_tensor(mask[captions, :longest], device=device)
        for start in range(0, len(v), IMAGE_BLOCK):
            rows = slice(start, start + IMAGE_BLOCK)
            of_images = torch.as_tensor(np.array(patches[rows]), dtype=torch.float32, device=device)
            with torch.inference_mode():
                block = local_similarity(of_images, of_captions, at_words, heads=local.attention_heads)
            similarity[rows, captions] = (
                local.u1 * block.cpu().numpy() + (1 - local.u1) * v[rows] @ t[captions].T
            )
    return similarity


def fused_scores(
    scores: np.ndarray, patches: np.ndarray, words: np.ndarray, mask: np.ndarray, local: LocalRole
) -> np.ndarray:
    """Compute u1 S_local + (1 - u1) cosine for one image and n captions, or n images and one caption.

    Args:
        scores: (n,) cosines.
        patches: (1, P, d) or (n, P, d) patch tokens; see `local_similarity`.
        words: (n, L, d) or (1, L, d) word tokens.
        mask: (n, L) or (1, L) bool, True at words.
        local: weight and attention heads of the local similarity.

    Returns:
        (n,).
    """
    with torch.inference_mode():
        similarity = local_similarity(
            torch.from_numpy(patches.astype(np.float32)),
            torch.from_numpy(words.astype(np.float32)),
            torch.from_numpy(mask),
            heads=local.attention_heads,
        )
    return local.u1 * similarity.numpy().ravel() + (1 - local.u1) * scores


def reranked_ranks(
    images: tuple[np.ndarray, np.ndarray],
    texts: tuple[np.ndarray, np.ndarray, np.ndarray],
    image_of_caption: np.ndarray,
    local: LocalRole,
    *,
    candidates: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute `itr_core.metrics.ranks` after every query has re-ranked its candidates by `fused_scores`.

    Candidates are selected by cosine. If no relevant item is among them, the rank by cosine is returned.

    Args:
        images: embeddings and patch tokens, from `encode_images(..., tokens=True)`.
        texts: embeddings, word tokens and mask, from `encode_texts(..., tokens=True)`.
        image_of_caption: (m,) row of each caption's image.
        local: weight and attention heads of the local similarity.
        candidates: number of items that each query re-ranks.

    Returns:
        T2I ranks (m,) and I2T ranks (n,), NaN for images without captions; see `itr_core.metrics.ranks`.
    """
    (v, patches), (t, words, mask) = images, texts
    t2i, i2t = ranks(CosineSimilarity(v, t), image_of_caption)
    for caption, own_image in enumerate(image_of_caption):
        found, scores = _best(v @ t[caption], candidates)
        one = slice(caption, caption + 1)
        fused = fused_scores(scores, patches[found], words[one], mask[one], local)
        t2i[caption] = _rank(fused, found == own_image, t2i[caption])
    for image in np.flatnonzero(~np.isnan(i2t)):
        found, scores = _best(t @ v[image], candidates)
        fused = fused_scores(scores, patches[image : image + 1], words[found], mask[found], local)
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
