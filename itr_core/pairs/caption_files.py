"""Caption files in a folder of images: metadata.jsonl, metadata.csv, captions.txt."""

import csv
import json
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from itr_core.errors import SourceError
from itr_core.pairs.columns import (
    Columns,
    caption_columns,
    check_columns,
    file_name_column,
    label_column,
    read_captions,
)

NAMES = ("metadata.jsonl", "metadata.csv", "captions.txt")  # the first that exists in a folder is used
# Flickr8k.token.txt, and results.csv of Kaggle's Flickr30k, in which one line lacks its second bar.
_TOKEN = re.compile(r"(?P<name>[^\t]+?)(#\d+)?\t(?P<caption>.*)")
_BARS = re.compile(r"(?P<name>[^|]+?)\s*\|\s*\d+\s*\|?\s*(?P<caption>.*)")


class CaptionRow(NamedTuple):
    """One row of a caption file; `file_name` is relative to the folder of that file."""

    file_name: str
    captions: list[str]
    labels: list[str] | None = None


def read_caption_file(path: Path, columns: Columns) -> list[CaptionRow]:
    """Read one caption file; an image may have several rows.

    Raises:
        SourceError: the file or a line cannot be read; the message names both.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read ({error}).") from error
    if path.suffix == ".txt":
        return list(_captions_txt(text, path))
    rows = list(
        _json_lines(text, path) if path.suffix == ".jsonl" else csv.DictReader(StringIO(text, newline=""))
    )
    known = list(dict.fromkeys(name for row in rows for name in row if name))
    check_columns(columns, known, str(path))
    name = file_name_column(known, columns)
    if name is None:
        raise SourceError(
            f"{path}: no column of file names (file_name) among {', '.join(known) or 'its lines'}."
        )
    others = [column for column in known if column != name]
    texts, label = caption_columns(others, columns), label_column(others, columns)
    return [
        CaptionRow(str(row[name]), read_captions(row, texts), _labels(row.get(label)) if label else None)
        for row in rows
        if row.get(name)
    ]


def _json_lines(text: str, path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield dict(json.loads(line))
            except (ValueError, TypeError) as error:
                raise SourceError(f"{path}, line {number}: not a JSON object ({error}).") from error


def _captions_txt(text: str, path: Path) -> Iterator[CaptionRow]:
    first = text.partition("\n")[0]
    if "\t" not in first and "|" not in first:
        for number, (name, *caption) in enumerate(filter(None, csv.reader(StringIO(text, newline="")))):
            if number or PurePath(name).suffix:  # else it is the header: image,caption
                yield CaptionRow(name, read_captions({"caption": ",".join(caption)}, ["caption"]))
        return
    form = _TOKEN if "\t" in first else _BARS
    for number, line in enumerate(text.splitlines(), 1):
        if match := form.fullmatch(line):
            yield CaptionRow(match["name"], read_captions(match.groupdict(), ["caption"]))
        elif number > 1 and line.strip():
            raise SourceError(f"{path}, line {number}: no image name and caption in {line[:60]!r}.")


def _labels(value: Any) -> list[str]:
    return [] if value is None else [str(part) for part in (value if isinstance(value, list) else [value])]
