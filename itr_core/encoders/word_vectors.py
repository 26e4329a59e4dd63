"""Word vectors as a start for the token embeddings: what is rare in the captions has a meaning too."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from itr_core.encoders.dual_encoder import DualEncoder
from itr_core.errors import ModelError

WORDS, VECTORS = "words.txt", "vectors.npy"


def set_word_vectors(encoder: DualEncoder, folder: Path) -> int:
    """Put vectors into the token embeddings of a fresh model, and return for how many words.

    `folder` holds words.txt (n words, one a line) and vectors.npy (n, k), real, of any scale, k at most the
    width of the text tower: the layout of a GloVe file (Pennington et al. 2014) taken apart. A word that the
    tokenizer keeps whole gets its vector in the first k columns of its row, all vectors scaled by the one
    factor that makes their entries as large (root mean square) as the drawn ones, so that they can still be
    learnt and do not drown the positions; all else stays as it was drawn.

    Raises ModelError: the folder cannot be read, its two files do not fit each other or the model, or the
    model's text tower has no token embedding of its own.
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
        raise ModelError(f"The text tower of {encoder.spec!r} has no token embedding to put word vectors in.")
    width = embedding.weight.shape[1]
    if vectors.ndim != 2 or len(vectors) != len(words) or vectors.shape[1] > width:
        raise ModelError(
            f"{folder / VECTORS} has shape {vectors.shape}; {len(words)} words and a text tower of width "
            f"{width} need ({len(words)}, at most {width})."
        )
    inner = getattr(encoder.tokenizer, "tokenizer", encoder.tokenizer)
    tokens = [inner.encode(word, add_special_tokens=False) for word in words]
    whole = [row for row, ids in enumerate(tokens) if len(ids) == 1]
    targets = torch.tensor([tokens[row][0] for row in whole], device=encoder.device)
    start = torch.as_tensor(vectors[whole], dtype=encoder.dtype, device=encoder.device)
    with torch.no_grad():
        start *= _size(embedding.weight) / _size(start).clamp(min=1e-12)
        embedding.weight[targets, : vectors.shape[1]] = start
    return len(whole)


def _size(values: Tensor) -> Tensor:
    return values.square().mean().sqrt()
