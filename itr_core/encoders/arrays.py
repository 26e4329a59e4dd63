"""Outputs of the towers as NumPy arrays of unit vectors."""

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from itr_core.encoders.encoder import Floats


def unit(x: Tensor) -> Floats:
    """Normalise vectors (..., d) to unit norm."""
    return F.normalize(x.float(), dim=-1).cpu().numpy()


def concatenate(batches: list[Floats], empty: tuple[int, ...]) -> Floats:
    """Concatenate batches; without any, return an array of the shape `empty`."""
    return np.concatenate(batches) if batches else np.zeros(empty, np.float32)
