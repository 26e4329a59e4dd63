"""Which words of a query matter for an image, and where in it they are seen."""

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
    """What the score loses when a word is left out (leave-one-out; Li et al., arXiv:1612.08220).

    Args:
        text: a query with at least one word. image: (d,), a unit vector.

    Returns:
        One row per word: word, start and end (characters of `text`), drop: the cosine with all words minus
        that without this one. Below 0 the word makes the image fit less.

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
    """How well each word fits each place of an image, by the tokens of both towers.

    A word is the mean of its sub-words. Tokens know their neighbours: a place, what lies around it; a word of
    a causal text tower, what comes before it. Only a model trained on tokens (AsCL) was ever asked that a
    word fit its place; of others take the map as a hint.

    Returns:
        The words that the model reads (a long text is cut), and float32 (words, h, h) cosines, rows from the
        top; a non-square image is seen as `encoder.prepare` crops it.

    Raises:
        QueryError: no word. ModelError: the model has no tokens, or its places form no square.
    """
    words = _words(text)
    beginnings = [text[: word.end()] for word in words]
    _, _, masks = encoder.encode_texts(beginnings, tokens=True)
    ends = masks.sum(1)  # sub-words up to the end of each word
    _, tokens, mask = encoder.encode_texts([text], tokens=True)
    _, places = encoder.encode_images([image], tokens=True)
    side = round(np.sqrt(places.shape[1]))
    if side * side != places.shape[1]:
        raise ModelError(f"{encoder.spec} sees {places.shape[1]} places, which form no square to draw.")
    read = [k for k in range(len(words)) if ends[k] > (ends[k - 1] if k else 0)]
    pieces = tokens[0][mask[0]]
    means = np.stack([pieces[(ends[k - 1] if k else 0) : ends[k]].mean(0) for k in read])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return [words[k][0] for k in read], (means @ places[0].T).reshape(-1, side, side)


def word_places(words: Sequence[str], maps: np.ndarray) -> pd.DataFrame:
    """Where each word of a `word_patch_map` fits best.

    Returns word, cosine, row and column (from 1, from the top left), and

    shades: the word's places in reading order, each in [0, 1] from the least to the greatest cosine of all
    words, so that a word that fits nowhere stays near 0.
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
        raise QueryError("There is no word to look at; type a few, like 'a dog on a beach'.")
    return words
