"""Captions in a file beside each image: `a.txt` or `a.caption` beside `a.jpg`, or `a.json` in shards."""

import json
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from itr_core.errors import ImageError
from itr_core.pairs.captions import read_captions
from itr_core.pairs.columns import Columns, caption_columns
from itr_core.pairs.decoding import open_file
from itr_core.pairs.listing import Entry
from itr_core.pairs.report import Report
from itr_core.pairs.text_files import decode_text

SUFFIXES = (".txt", ".caption", ".json")
_MAX_BYTES = 10_000_000


def sidecars(files: Iterable[Entry], images: Iterable[Entry]) -> dict[PurePosixPath, list[Entry]]:
    """Return the files with captions beside each image, by its path, in the order of `SUFFIXES`."""
    texts = {entry.path: entry for entry in files if entry.path.suffix.lower() in SUFFIXES}
    beside = {
        image.path: [texts[path] for suffix in SUFFIXES if (path := image.path.with_suffix(suffix)) in texts]
        for image in images
        if image.path.suffix
    }
    return {path: found for path, found in beside.items() if found}


def read_sidecars(found: Iterable[Entry], columns: Columns, report: Report) -> list[str]:
    """Return the captions of the first file that has some: one a line, or those of a JSON object."""
    for entry in found:
        name = str(entry.path)
        try:
            with open_file(entry.reference) as file:
                text = decode_text(file.read(_MAX_BYTES), name, report)
        except ImageError as error:
            report.skip(name, str(error))
            continue
        if entry.path.suffix.lower() == ".json":
            captions = _captions_of_json(text, columns, report, name)
        else:
            captions = _captions_of_text(text, report, name)
        if captions:
            return captions
    return []


def _captions_of_text(text: str, report: Report, name: str) -> list[str]:
    captions = read_captions({"txt": text}, ["txt"], report, name)
    worded = [caption for caption in captions if any(map(str.isalpha, caption))]
    if len(worded) < len(captions):  # boxes of an object detector
        report.changed("Files beside images with lines without letters, which are not captions", name)
    return worded


def _captions_of_json(text: str, columns: Columns, report: Report, name: str) -> list[str]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        report.skip(name, "not a JSON file")
        return []
    if not isinstance(content, Mapping):
        return []
    return read_captions(content, caption_columns(content, columns), report, name)
