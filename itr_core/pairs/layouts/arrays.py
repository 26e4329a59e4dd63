"""NumPy files of features in the place of images: reading them, and the sets that they become."""

from pathlib import Path

import numpy as np
from PIL import Image

from itr_core.errors import ImageError, SourceError
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Report


def read_array(path: Path) -> np.ndarray:
    """Map an .npy file of numbers from disk.

    Raises:
        SourceError: the file is missing or damaged, or holds no numbers.
    """
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(f"{path}: not a NumPy array of numbers ({error}).") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.ndim < 1:
        raise SourceError(f"{path}: not a NumPy array of numbers.")
    return array


def pairs_of_features(
    features: np.ndarray,
    image_ids: list[str],
    captions: list[list[str]],
    labels: list[list[str]] | None = None,
    *,
    source: str,
    report: Report,
    limit: int | None,
) -> PairSet:
    """Build a set of images that are known by their features only, (n, f) or (n, R, f) of R regions."""
    from datasets import Dataset, Features, List, Value

    columns = {
        "image": list(range(len(image_ids)))[:limit],
        "captions": captions[:limit],
        "image_id": image_ids[:limit],
    }
    types = {"image": Value("int64"), "captions": List(Value("string")), "image_id": Value("string")}
    if labels is not None:
        columns["labels"] = labels[:limit]
        types["labels"] = List(Value("string"))
    return PairSet(
        Dataset.from_dict(columns, Features(types)),
        source=source,
        decode=_no_image,
        image_features=features[:limit],
        skipped=report.skipped,
        notes=report.notes,
    )


def _no_image(_: object) -> Image.Image:
    raise ImageError("the source has features of this image, not the image")
