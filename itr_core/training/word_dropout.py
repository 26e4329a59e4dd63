"""Word dropout: augmentation of captions in training."""

import numpy as np


def drop_words(text: str, probability: float, random: np.random.Generator) -> str:
    """Remove each word with the given probability; a text that would lose all its words stays unchanged."""
    if not probability:
        return text
    words = text.split()
    kept = [word for word, x in zip(words, random.random(len(words)), strict=True) if x >= probability]
    return " ".join(kept) or text
