"""COCO's two annotation layouts: `captions_*.json`, and Karpathy and Fei-Fei's `dataset_*.json` (CVPR 2015).

Karpathy's layout is also used for Flickr8k and Flickr30k. The id of an image is its COCO id if it has one,
so that both layouts give the same ids. A list of images with captions in another layout, such as those of
BLIP and LAVIS, is read as a table.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from itr_core.errors import SourceError
from itr_core.pairs import table_file
from itr_core.pairs.captions import clean_text, read_captions
from itr_core.pairs.coco_labels import Labels, labels_beside, labels_of_instances
from itr_core.pairs.columns import Columns, caption_columns, some_names, without_captions
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.from_files import Named, pairs_of_names
from itr_core.pairs.identity import id_text, unique_ids
from itr_core.pairs.image_search import ImageSearch
from itr_core.pairs.json_files import read_json, rows_of_json
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Report, shorten
from itr_core.pairs.splits import rows_of_split, separate_split

_NAMES = ("filename", "file_name", "image")
_ID = re.compile(r"0*([1-9][0-9]*|0)(?:\.0*)?")
_LAYOUTS = (
    "neither COCO's captions layout (images, annotations with image_id and caption), nor Karpathy's (images "
    "with filename, split and sentences), nor a list of images with captions"
)


def load(
    rest: str,
    *,
    columns: Columns | None = None,
    image_root: str | Path | None = None,
    limit: int | None = None,
    options: FileOptions = FileOptions(),
) -> PairSet:
    """Read `FILE.json[:split]` in either layout; `columns` are those of a list in another layout.

    The labels are the categories of the file, or of `instances_*.json` beside it (see `coco_labels`).
    Images are searched in `image_root`, else in the folder of the file, in the folder above, and in folders
    beside the file with usual names (`images`, `val2014`, `Flicker8k_Dataset`, `flickr30k-images`, ...); by
    their file names and, if there is a COCO id, by the names of 2017 (`<12 digits>.jpg`).

    Raises:
        SourceError: the file cannot be read, has no such split, or none of its images is found.
    """
    name, split = separate_split(rest)
    path, report = Path(name), Report()
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return table_file.load(rest, columns=columns, image_root=image_root, limit=limit, options=options)
    content = read_json(path, report)
    search = ImageSearch.beside(path, image_root, options)
    if isinstance(content, list) and _has(content, "sentences"):
        content = {"images": content}
    if not _is_annotated(content):
        table = rows_of_json(content, str(path), report)
        if split:
            table = table_file.rows_of_table_split(table, split, f"karpathy:{rest}")
        return table_file.pairs_of_rows(
            table,
            columns or {},
            search,
            name=str(path),
            source=f"karpathy:{rest}",
            report=report,
            limit=limit,
        )
    if not content["images"]:
        raise SourceError(f"{path}: the file lists no images.")
    layout, entries = _entries(path, content, report)
    source = f"{layout}:{rest}"
    if columns and not (without_captions(columns) and len(columns) == 1):
        raise SourceError(f"{source}: this layout has no columns to choose; remove --columns.")
    if split:
        entries = _of_split(entries, split, source)
    if not columns and not any(entry.captions for entry in entries):
        _refuse(source, content)
    if isinstance(content.get("categories"), list) and content["categories"]:
        labels: Labels | None = labels_of_instances(content, str(path))
    else:
        labels = labels_beside(path, [entry.folder for entry in entries], report)
    named = [
        Named(
            entry.image_id,
            entry.file_names,
            entry.captions,
            None if labels is None else labels.get(entry.image_id, []),
        )
        for entry in entries
    ]
    return pairs_of_names(named, search, source=source, report=report, limit=limit)


def _is_annotated(content: Any) -> bool:
    """Tell whether a file is in one of the two layouts; else it is read as a table."""
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        return False
    return "annotations" in content or not content["images"] or _has(content["images"], "sentences")


def _has(entries: list[Any], key: str) -> bool:
    return any(isinstance(entry, dict) and key in entry for entry in entries)


def _of_split(entries: list["_Entry"], split: str, source: str) -> list["_Entry"]:
    if source.startswith("coco:"):
        raise SourceError(f"{source}: caption files of COCO have no splits; remove {':' + split!r}.")
    if not any(entry.split for entry in entries):
        raise SourceError(f"{source}: the entries have no split; remove {':' + split!r}.")
    return [entries[row] for row in rows_of_split([entry.split for entry in entries], split, source)]


class _Entry(NamedTuple):
    image_id: str
    file_names: list[str]
    captions: list[str]
    split: str = ""
    folder: str = ""
    """The folder of the image, such as `val2014`, if the file names it."""


def _entries(path: Path, content: Mapping[str, Any], report: Report) -> tuple[str, list[_Entry]]:
    """Return the layout and the images, without repeated ones and those without a file name."""
    coco = "annotations" in content
    captions = _captions_by_id(path, content, report) if coco else {}
    entries: dict[tuple[str, ...], _Entry] = {}
    for number, image in enumerate(content["images"]):
        place = f"{path.name}, image {number}"
        entry = _entry(image, place, captions, report) if isinstance(image, Mapping) else None
        if entry is None:
            report.skip(place, "no file name in this entry")
            continue
        # Captions of COCO belong to the id, those of Karpathy to the entry.
        known = entries.setdefault((entry.image_id,) if coco else (entry.image_id, *entry.file_names), entry)
        if known is entry or known == entry:
            continue
        if known.file_names != entry.file_names:
            report.skip(place, f"the id {entry.image_id} already belongs to {known.file_names[0]}")
        elif known.split != entry.split:
            report.skip(place, f"{known.file_names[0]} is already in the split {known.split}")
        else:
            known.captions.extend(entry.captions)  # one entry for each caption
    if not entries:
        raise SourceError(f"{path}: {_LAYOUTS}: no image has a file name.")
    ids = unique_ids([entry.image_id for entry in entries.values()], report)
    images = [
        entry._replace(image_id=image_id) for image_id, entry in zip(ids, entries.values(), strict=True)
    ]
    return "coco" if coco else "karpathy", images


def _captions_by_id(path: Path, content: Mapping[str, Any], report: Report) -> dict[str, list[str]]:
    """Return the captions by the id of their image; those of images that are not listed are reported."""
    listed = {id_text(image.get("id")) for image in content["images"] if isinstance(image, Mapping)} - {""}
    annotations = content["annotations"] if isinstance(content["annotations"], list) else []
    keys = dict.fromkeys(key for each in annotations[:100] if isinstance(each, Mapping) for key in each)
    names = caption_columns(keys, {}) or ["caption"]
    captions: dict[str, list[str]] = defaultdict(list)
    for number, annotation in enumerate(annotations):
        place = f"{path.name}, annotation {number}"
        if not isinstance(annotation, Mapping) or not (image_id := id_text(annotation.get("image_id"))):
            report.skip(place, "no image_id in this entry")
            continue
        if image_id not in listed and (number_of_id := _ID.fullmatch(image_id)):
            image_id = number_of_id[1]  # as text, an id can have zeros around it
        texts = read_captions(annotation, names, report, place)
        if image_id in listed:
            captions[image_id] += texts
        elif texts:
            report.changed(
                "Captions of images that the file does not list, which are not read", f"image {image_id}"
            )
    return captions


def _entry(
    image: Mapping[str, Any], place: str, captions: Mapping[str, list[str]], report: Report
) -> _Entry | None:
    name = next((text for key in _NAMES if (text := id_text(image.get(key)))), "") or _name_in_url(image)
    names = [f"{id_text(image['filepath'])}/{name}", name] if image.get("filepath") else [name]
    if "sentences" in image or "filename" in image:  # Karpathy's
        image_id = id_text(image.get("image_id")) or id_text(image.get("cocoid"))
        own = read_captions(image, ["sentences"], report, place)
        split = clean_text(str(image.get("split") or ""))
    else:
        image_id, split = id_text(image.get("id")), ""
        own = captions.get(image_id, [])
    if (number := _ID.fullmatch(image_id)) and len(number[1]) <= 12:
        names.append(f"{number[1]:0>12}.jpg")
    names = [name for name in names if name]
    return _Entry(image_id or name, names, own, split, id_text(image.get("filepath"))) if names else None


def _name_in_url(image: Mapping[str, Any]) -> str:
    return PurePosixPath(id_text(image.get("coco_url"))).name


def _refuse(source: str, content: Mapping[str, Any]) -> None:
    """Say what a file without captions has instead.

    Raises:
        SourceError: always.
    """
    listed = content.get("annotations") or content["images"]
    entries = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    keys = dict.fromkeys(key for entry in entries for key in entry)
    if "image_id" in keys and caption_columns(keys, {}):
        first = shorten(repr(entries[0].get("image_id")))
        raise SourceError(f"{source}: no caption belongs to an image: no image has the id {first}.")
    hint = " COCO's captions are in captions_*.json." if "category_id" in keys else ""
    raise SourceError(f"{source}: no captions; the entries have {some_names(keys)}.{hint}")
