"""Initialise token embeddings with word vectors, so that words rare in the captions start with a meaning."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.errors import ModelError

WORDS, VECTORS = "words.txt", "vectors.npy"


def set_word_vectors(encoder: DualEncoder, folder: Path) -> int:
    """Copy word vectors into the token embeddings of an untrained model.

    A word that is one token of the tokenizer gets its vector in the first k columns of the token's row. All
    vectors are multiplied by one factor that gives their entries the root mean square of the initial
    embeddings, so that they stay trainable and do not dominate the position embeddings. All other entries
    stay unchanged.

    Args:
        encoder: a model with random weights.
        folder: contains words.txt (n words, one per line) and vectors.npy ((n, k) floats of any scale, k at
            most the width of the text tower), which is the content of a GloVe file (Pennington et al. 2014).

    Returns:
        Number of words whose vectors were copied.

    Raises:
        ModelError: The folder cannot be read, its two files do not match each other or the model, or the
            text tower has no token embedding of its own.
    """
    try:
        words = (folder / WORDS).read_text(encoding="utf-8").split()
        vectors = np.load(folder / VECTORS, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"Cannot read word vectors from {folder} ({error}); it needs {WORDS} and {VECTORS}."
        ) from error
    embedding: Any = getattr(getattr(encoder.model, "text", encoder.model), "token_embedding", None)
    if embedding is None:
        raise ModelError(f"The text tower of {encoder.spec!r} has no token embedding to initialise.")
    width = embedding.weight.shape[1]
    if vectors.ndim != 2 or len(vectors) != len(words) or vectors.shape[1] > width:
        raise ModelError(
            f"{folder / VECTORS} has shape {vectors.shape}; {len(words)} words and a text tower of width "
            f"{width} need ({len(words)}, at most {width})."
        )
    inner = getattr(encoder.tokenizer, "tokenizer", encoder.tokenizer)
    tokens = [inner.encode(word, add_special_tokens=False) for word in words]
    single = [row for row, ids in enumerate(tokens) if len(ids) == 1]
    targets = torch.tensor([tokens[row][0] for row in single], device=encoder.device)
    values = torch.as_tensor(vectors[single], dtype=encoder.dtype, device=encoder.device)
    with torch.no_grad():
        values *= _root_mean_square(embedding.weight) / _root_mean_square(values).clamp(min=1e-12)
        embedding.weight[targets, : vectors.shape[1]] = values
    return len(single)


def _root_mean_square(values: Tensor) -> Tensor:
    return values.square().mean().sqrt()
