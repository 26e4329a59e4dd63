"""Labels of COCO: the categories of the objects in `instances_*.json`, which lie beside the captions."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from itr_core.errors import SourceError
from itr_core.pairs.identity import id_text
from itr_core.pairs.json_files import read_json
from itr_core.pairs.report import Report

Labels = dict[str, list[str]]
"""The names of categories by the id of the image."""


def labels_beside(path: Path, folders_of_images: Iterable[str], report: Report) -> Labels | None:
    """Return the labels of the files that belong to an annotation file, or None if there is none.

    `captions_val2017.json` belongs to `instances_val2017.json`. Karpathy's file, whose images lie in the
    folders `train2014` and `val2014`, belongs to the instances of both, beside it or in `annotations/`.
    """
    names = [path.name.replace("captions_", "instances_", 1)] if path.name.startswith("captions_") else []
    names += [f"instances_{folder}.json" for folder in sorted(set(folders_of_images)) if folder]
    places = path.parent, path.parent / "annotations"
    files = [file for name in names for place in places if (file := place / name).is_file()]
    if not files:
        return None
    labels: Labels = {}
    for file in files:
        labels |= labels_of_instances(read_json(file, report, leave_out=("segmentation",)), str(file))
        report.note(f"The labels are the categories of {file.name}.")
    return labels


def labels_of_instances(content: Any, name: str) -> Labels:
    """Return the categories of each image, each once, in their order in the file.

    Raises:
        SourceError: the content has another layout.
    """
    if not (
        isinstance(content, Mapping)
        and all(isinstance(content.get(key), list) for key in ("images", "annotations", "categories"))
    ):
        raise SourceError(
            f"{name}: not COCO's instances (images, annotations with category_id, categories). Download it "
            "again, or move it away to read the captions without labels."
        )
    names = {
        each.get("id"): id_text(each.get("name"))
        for each in content["categories"]
        if isinstance(each, Mapping) and isinstance(each.get("id"), int)
    }
    found: dict[str, set[int]] = {
        id_text(image.get("id")): set() for image in content["images"] if isinstance(image, Mapping)
    }
    for number, each in enumerate(content["annotations"]):
        category = each.get("category_id") if isinstance(each, Mapping) else None
        if not isinstance(category, int) or not names.get(category):
            raise SourceError(
                f"{name}, annotation {number}: category_id {category!r} is not in its list of categories."
            )
        found.setdefault(id_text(each.get("image_id")), set()).add(category)
    return {image: [names[category] for category in names if category in own] for image, own in found.items()}
