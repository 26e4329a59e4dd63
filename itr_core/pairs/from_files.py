"""Build a `PairSet` from image files on disk."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from itr_core.errors import ImageError, SourceError
from itr_core.pairs.decoding import check_image
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Skipped

_COCO_FOLDERS = ("", "val2017", "train2017", "val2014", "train2014")


class Record(NamedTuple):
    """One image file with its id, captions and labels."""

    image_id: str
    path: Path
    captions: list[str]
    labels: list[str] | None = None


def pairs_of_files(
    records: Iterable[Record],
    *,
    source: str,
    skipped: Iterable[Skipped] = (),
    notes: Iterable[str] = (),
    limit: int | None = None,
) -> PairSet:
    """Build a set of the first `limit` images whose headers are valid; the others are skipped.

    Raises:
        SourceError: no image is usable.
    """
    from datasets import Dataset, Features, Image, List, Value

    usable: list[Record] = []
    problems = list(skipped)
    for record in records:
        if len(usable) == limit:
            break
        try:
            check_image(record.path)
        except ImageError as error:
            problems.append(Skipped(record.image_id, str(error)))
        else:
            usable.append(record)
    if not usable:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in problems[:3])
        raise SourceError(f"{source}: none of its {len(problems)} images can be used ({reasons}).")

    columns = {
        "image": [{"path": str(record.path), "bytes": None} for record in usable],
        "captions": [record.captions for record in usable],
        "image_id": [record.image_id for record in usable],
    }
    features = {"image": Image(decode=False), "captions": List(Value("string")), "image_id": Value("string")}
    if any(record.labels is not None for record in usable):
        columns["labels"] = [record.labels or [] for record in usable]
        features["labels"] = List(Value("string"))
    dataset = Dataset.from_dict(columns, Features(features))
    return PairSet(dataset, source=source, skipped=problems, notes=list(notes))


def image_roots(path: Path, image_root: str | Path | None) -> list[Path]:
    """Return the folders in which the images of the file `path` are searched."""
    folder = path.absolute().parent
    if image_root is not None:
        return [Path(image_root)]
    return [folder / "images", folder, folder.parent / "images", folder.parent]


def locate(names: Sequence[str], roots: Sequence[Path]) -> Path | None:
    """Return the first existing file with one of the names below one of the folders.

    Absolute names and names that lead out of the folder are not followed.
    """
    inside = [name for name in names if not name.startswith("/") and ".." not in PurePosixPath(name).parts]
    candidates = (root / folder / name for root in roots for folder in _COCO_FOLDERS for name in inside)
    return next((path for path in candidates if os.path.isfile(path)), None)  # False for impossible names
