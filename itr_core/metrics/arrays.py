"""Conversion of arguments to NumPy arrays: arrays, nested lists and torch tensors are all accepted.

Torch tensors are recognised by their `detach` method, so this module does not import torch.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def as_array(values: ArrayLike) -> np.ndarray:
    """Return an array, a nested list or a torch tensor on any device as a NumPy array.

    Arrays and CPU tensors are not copied, unless the tensor has a floating-point type of 16 bits or fewer:
    it becomes float32, since NumPy has no bfloat16.

    Raises:
        ValueError: a list whose rows differ in length.
    """
    if not hasattr(values, "detach"):
        return np.asarray(values)
    tensor: Any = values.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() and tensor.itemsize < 4 else tensor).numpy()


def as_embeddings(values: ArrayLike, name: str = "embeddings") -> np.ndarray:
    """Return embeddings, one a row, as an (n, d) array of floats; integers become float64.

    Args:
        values: (n, d).
        name: of the argument, for the message of the error.

    Raises:
        ValueError: any other shape, or values that are not real numbers.
    """
    x = as_array(values)
    if x.ndim != 2 or x.dtype.kind not in "fiub":
        raise ValueError(
            f"{name} must be a matrix of real numbers (n, d), got shape {x.shape} of {x.dtype.name}."
        )
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def as_image_rows(values: ArrayLike, n_images: int, count: int, name: str = "image_of_caption") -> np.ndarray:
    """Return the image row of each caption (or query) as int64 (count,), checked.

    Args:
        values: (count,) whole numbers in [0, n_images).
        n_images: number of images.
        count: number of captions.
        name: of the argument, for the message of the error.

    Raises:
        ValueError: another shape, values that are not whole numbers, or a row out of range.
    """
    given = as_array(values)
    if given.shape != (count,):
        raise ValueError(f"{name} has shape {given.shape}; expected ({count},): an image row for each.")
    whole = given.dtype.kind in "iu" or (
        given.dtype.kind == "f" and bool(np.isfinite(given).all() and (given == np.floor(given)).all())
    )
    if not whole:
        raise ValueError(f"{name} must contain whole numbers, got {given.dtype.name} values that are not.")
    rows = given.astype(np.int64, copy=False)
    if count and (rows.min() < 0 or rows.max() >= n_images):
        raise ValueError(f"{name} must lie in [0, {n_images}), got {rows.min()} to {rows.max()}.")
    return rows
