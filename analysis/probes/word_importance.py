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

    A word is the mean of its sub-word tokens. Tokens depend on their context: a patch on the patches around
    it, a word of a causal text tower on the words before it. Only models trained on tokens (AsCL) learn that
    a word matches its patch; for other models the map is no more than a hint.

    Args:
        encoder: a model with tokens.
        image: of any size; the patches are those of `encoder.prepare`, which may crop it.
        text: with at least one word.

    Returns:
        The words that the model reads (long texts are truncated), and float32 (words, h, h), rows from the
        top.

    Raises:
        QueryError: no word.
        ModelError: the model has no tokens, or its patches do not form a square.
    """
    words = _words(text)
    beginnings = [text[: word.end()] for word in words]
    _, _, masks = encoder.encode_texts(beginnings, tokens=True)
    ends = masks.sum(1)  # number of sub-words up to the end of each word
    _, tokens, mask = encoder.encode_texts([text], tokens=True)
    _, patches = encoder.encode_images([image], tokens=True)
    side = round(np.sqrt(patches.shape[1]))
    if side * side != patches.shape[1]:
        raise ModelError(
            f"{encoder.spec} divides an image into {patches.shape[1]} patches, which do not form a square."
        )
    read = [k for k in range(len(words)) if ends[k] > (ends[k - 1] if k else 0)]
    pieces = tokens[0][mask[0]]
    means = np.stack([pieces[(ends[k - 1] if k else 0) : ends[k]].mean(0) for k in read])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return [words[k][0] for k in read], (means @ patches[0].T).reshape(-1, side, side)


def best_patches(words: Sequence[str], maps: np.ndarray) -> pd.DataFrame:
    """Find the best patch of each word.

    Args:
        words: as returned by `word_patch_map`.
        maps: as returned by `word_patch_map`.

    Returns:
        One row per word. Columns: word; cosine, row and column of the best patch (from 1, from the top
        left); shades (the values of all patches in reading order, scaled so that the smallest value of all
        words is 0 and the largest is 1: a word that matches nowhere stays near 0).
    """
    low, span = maps.min(), np.ptp(maps) or 1.0
    row, column = np.unravel_index(maps.reshape(len(maps), -1).argmax(1), maps.shape[1:])
    return pd.DataFrame(
        {
            "word": list(words),
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
