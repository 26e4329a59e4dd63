"""Importance of the words of a query for an image, and the patches of the image that each word matches."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image

from itr_core.errors import ModelError, QueryError

if TYPE_CHECKING:
    from analysis.probes.counterfactuals import TextEncoder
    from itr_core.encoders.encoder import Encoder

MIN_DROP = 0.01
"""Least drop of the cosine that locates a word. In Picturebook, 84 % of the names of things are located, 96 %
of them on the thing (InfoNCE)."""


def word_importance(encoder: "TextEncoder", text: str, image: np.ndarray) -> pd.DataFrame:
    """Measure the drop of the score when a word is removed (leave-one-out; Li et al., arXiv:1612.08220).

    Args:
        encoder: of the text.
        text: a query with at least one word.
        image: (d,) unit vector.

    Returns:
        One row per word. Columns: word; start and end (characters of `text`); drop (cosine with all words
        minus that without this one; below 0, the word lowers the score).

    Raises:
        QueryError: no word.
    """
    words = _words(text)
    shorter = [" ".join((text[: word.start()] + text[word.end() :]).split()) for word in words]
    scores = encoder.encode_texts([text, *shorter]) @ image
    return pd.DataFrame(
        {
            "word": [word[0] for word in words],
            "start": [word.start() for word in words],
            "end": [word.end() for word in words],
            "drop": (scores[0] - scores[1:]).astype(np.float64),
        }
    )


def word_patch_map(encoder: "Encoder", image: Image.Image, text: str) -> tuple[list[str], np.ndarray]:
    """Compute the cosine of each word with each patch of an image, from the tokens of both towers.

    A word is encoded alone, as the mean of its sub-word tokens: in a sentence, its tokens also depend on the
    words before it, and its best patch is less often on the thing that it names (in Picturebook 85 % instead
    of 95 % of the time, InfoNCE). Patches still depend on the patches around them; `located` tells if the
    best patch matters for the word.

    Args:
        encoder: a model with tokens.
        image: of any size; the patches are those of `encoder.prepare`, which may crop it.
        text: with at least one word.

    Returns:
        The words that have tokens, and float32 (words, h, h), rows from the top.

    Raises:
        QueryError: no word.
        ModelError: the model has no tokens, or its patches do not form a square.
    """
    words = [word[0] for word in _words(text)]
    _, tokens, mask = encoder.encode_texts(words, tokens=True)
    _, patches = encoder.encode_images([image], tokens=True)
    side = round(np.sqrt(patches.shape[1]))
    if side * side != patches.shape[1]:
        raise ModelError(
            f"{encoder.spec} divides an image into {patches.shape[1]} patches, which do not form a square."
        )
    read = np.flatnonzero(mask.any(axis=1))
    means = np.stack([tokens[k][mask[k]].mean(0) for k in read])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return [words[k] for k in read], (means @ patches[0].T).reshape(-1, side, side)


def located(encoder: "Encoder", image: Image.Image, words: Sequence[str], maps: np.ndarray) -> np.ndarray:
    """Find out which words the image shows at their best patch: covering it lowers the score of the word.

    This is the occlusion test of Zeiler & Fergus (ECCV 2014) at one place for each word. A square of 1.5 by
    1.5 patches is filled with the mean colour of the image.

    Args:
        encoder: the model of the maps.
        image: the image of the maps.
        words: as returned by `word_patch_map`.
        maps: as returned by `word_patch_map`.

    Returns:
        (words,) bool: the cosine of the image and the word drops by more than `MIN_DROP`.
    """
    pixels = np.asarray(encoder.prepare(image))
    side = pixels.shape[-1] / maps.shape[-1]
    covered = []
    for best in maps.reshape(len(maps), -1).argmax(1).tolist():
        row, column = divmod(best, maps.shape[-1])
        top, left = (max(0, round((place - 0.25) * side)) for place in (row, column))
        bottom, right = (round((place + 1.25) * side) for place in (row, column))
        filled = pixels.copy()
        filled[:, top:bottom, left:right] = pixels.mean(axis=(1, 2), keepdims=True).astype(pixels.dtype)
        covered.append(filled)
    before, *after = encoder.encode_images([pixels, *covered])
    texts = encoder.encode_texts(list(words))
    return texts @ before - np.einsum("wd,wd->w", texts, np.stack(after)) > MIN_DROP


def best_patches(words: Sequence[str], maps: np.ndarray, shown: np.ndarray) -> pd.DataFrame:
    """Find the best patch of each word.

    Args:
        words: as returned by `word_patch_map`.
        maps: as returned by `word_patch_map`.
        shown: as returned by `located`.

    Returns:
        One row per word. Columns: word; located; cosine, row and column of the best patch (from 1, from the
        top left); shades (the values of all patches in reading order, scaled so that the smallest value of
        all words is 0 and the largest is 1: a word that matches nowhere stays near 0).
    """
    low, span = maps.min(), np.ptp(maps) or 1.0
    row, column = np.unravel_index(maps.reshape(len(maps), -1).argmax(1), maps.shape[1:])
    return pd.DataFrame(
        {
            "word": list(words),
            "located": shown,
            "cosine": maps.max((1, 2)).astype(np.float64),
            "row": row + 1,
            "column": column + 1,
            "shades": list(((maps - low) / span).reshape(len(maps), -1)),
        }
    )


def _words(text: str) -> Sequence[re.Match[str]]:
    words = list(re.finditer(r"\S+", text))
    if not words:
        raise QueryError("The query has no word. Type a few, such as 'a dog on a beach'.")
    return words
