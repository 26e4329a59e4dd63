"""COCO's two annotation layouts: `captions_*.json`, and Karpathy and Fei-Fei's `dataset_*.json` (CVPR 2015).

Karpathy's layout is also used for Flickr8k and Flickr30k. The id of an image is its COCO id if it has one,
so that both layouts give the same ids.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from itr_core.errors import SourceError
from itr_core.pairs.columns import read_captions
from itr_core.pairs.from_files import Record, pairs_of_files
from itr_core.pairs.pairset import PairSet, Skipped
from itr_core.pairs.splits import rows_of_split, separate_split

_FOLDERS = ("", "val2017", "train2017", "val2014", "train2014")


def load(rest: str, *, image_root: str | Path | None = None, limit: int | None = None) -> PairSet:
    """Read `FILE.json[:split]` in either layout.

    Images are searched in `image_root`, else in the folder of the file, its `images/` folder, and the folder
    above; by their file names and, if there is a COCO id, by the names of 2017 (`<12 digits>.jpg`).

    Raises:
        SourceError: the file cannot be read, has no such split, or none of its images is found.
    """
    name, split = separate_split(rest)
    path = Path(name)
    layout, entries = _read(path)
    source = f"{layout}:{rest}"
    if split and layout == "coco":
        raise SourceError(f"{source}: caption files of COCO have no splits; remove {':' + split!r}.")
    if split:
        rows = rows_of_split([entry.split for entry in entries], split, source)
        entries = [entries[row] for row in rows]

    folder = path.absolute().parent
    usual = [folder / "images", folder, folder.parent / "images", folder.parent]
    roots = [Path(image_root)] if image_root is not None else usual
    if not entries:
        raise SourceError(f"{source}: the file lists no images.")
    records, missing = [], []
    for entry in entries:
        if file := _locate(entry.file_names, roots):
            records.append(Record(entry.image_id, file, entry.captions))
        else:
            missing.append(Skipped(entry.file_names[0], "no such file"))
    if not records:
        raise SourceError(
            f"{source}: none of its {len(entries)} images was found (no {missing[0].name} in {roots[0]}). "
            "Pass their folder as image_root."
        )
    return pairs_of_files(records, source=source, skipped=missing, limit=limit)


class _Entry(NamedTuple):
    image_id: str
    file_names: list[str]
    captions: list[str]
    split: str = ""


def _read(path: Path) -> tuple[str, list[_Entry]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise SourceError(f"{path}: not a JSON file ({error}).") from error
    try:
        if "annotations" in content:
            captions: dict[Any, list[str]] = defaultdict(list)
            for annotation in content["annotations"]:
                captions[annotation["image_id"]] += read_captions(annotation, ["caption"])
            return "coco", [_coco(image, captions[image["id"]]) for image in content["images"]]
        return "karpathy", [_karpathy(image) for image in content["images"]]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SourceError(
            f"{path}: neither COCO's captions layout (images, annotations with image_id and caption) nor "
            f"Karpathy's (images with filename, split and sentences): {type(error).__name__} {error}."
        ) from error


def _coco(image: dict[str, Any], captions: list[str]) -> _Entry:
    return _Entry(str(image["id"]), [image["file_name"], f"{image['id']:012d}.jpg"], captions)


def _karpathy(image: dict[str, Any]) -> _Entry:
    name = image["filename"]
    names = [f"{image['filepath']}/{name}", name] if image.get("filepath") else [name]
    captions = read_captions(image, ["sentences"])
    if (coco_id := image.get("cocoid")) is None:
        return _Entry(name, names, captions, image["split"])
    return _Entry(str(coco_id), [*names, f"{coco_id:012d}.jpg"], captions, image["split"])


def _locate(names: Sequence[str], roots: Sequence[Path]) -> Path | None:
    inside = [name for name in names if not name.startswith("/") and ".." not in PurePosixPath(name).parts]
    candidates = (root / folder / name for root in roots for folder in _FOLDERS for name in inside)
    return next((path for path in candidates if path.is_file()), None)
