"""Caption files in a folder of images: metadata.jsonl, metadata.csv, captions.txt and others.

A caption file is a table with a column of image names, in any of the forms that `read_table` reads.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import PurePath
from typing import Any, NamedTuple, Self

from itr_core.errors import SourceError
from itr_core.pairs.captions import parsed_text, read_captions
from itr_core.pairs.columns import (
    Columns,
    caption_columns,
    check_columns,
    file_name_column,
    label_column,
    plain_name,
    refuse_captions,
    some_names,
    unread_captions,
    without_captions,
)
from itr_core.pairs.delimited import read_delimited
from itr_core.pairs.identity import id_text
from itr_core.pairs.json_files import parse_json, read_json_lines, rows_of_json
from itr_core.pairs.report import Report
from itr_core.pairs.rows import TextTable, looks_like_image
from itr_core.pairs.text_files import decode_text

TABLES = (".csv", ".tsv", ".txt", ".token", ".jsonl", ".ndjson", ".json")
"""Suffixes of the text files that `read_table` reads."""
# In order of preference, if a folder has several.
_NAMES = (
    r"metadata\.jsonl", r"metadata\.(csv|tsv)", r"captions?\.jsonl", r"captions?\.(csv|tsv|txt)",
    r"(metadata|captions?)\.json", r".*\.token(\.txt)?", r"results(_\d+)?\.csv",
)  # fmt: skip


class CaptionRow(NamedTuple):
    """One row of a caption file; `file_name` is relative to the folder of that file."""

    file_name: str
    captions: list[str]
    labels: list[str] | None = None
    image_id: str | None = None

    def joined(self, other: Self) -> Self:
        """Return this row with the captions and labels of another row of the same image added."""
        self.captions.extend(other.captions)
        return self._replace(labels=joined_labels(self.labels, other.labels))


def choose_caption_files(files: Iterable[PurePath], report: Report) -> dict[PurePath, list[PurePath]]:
    """Return the caption file of each folder, with the other ones in this folder, which the report names."""
    found: dict[PurePath, list[tuple[int, str, PurePath]]] = {}
    for path in files:
        rank = next((rank for rank, name in enumerate(_NAMES) if re.fullmatch(name, path.name, re.I)), None)
        if rank is not None:
            found.setdefault(path.parent, []).append((rank, path.name, path))
    chosen = {}
    for candidates in found.values():
        first, *others = [path for _, _, path in sorted(candidates)]
        chosen[first] = others
        for other in others:
            report.note(
                f"{other.as_posix()} is not read, because {first.as_posix()} has the captions of this folder."
            )
    return dict(sorted(chosen.items()))


def read_caption_file(
    content: bytes,
    name: str,
    columns: Columns,
    report: Report,
    is_name: Callable[[str], bool] = looks_like_image,
) -> list[CaptionRow]:
    """Read a caption file; an image may have several rows.

    Args:
        content: of the file, see `read_table`.
        name: of the file; its suffix tells the format.
        columns: roles of its columns, see `load_pairs`.
        report: is told about lines that are left out or changed.
        is_name: tells whether a text is the name of an image.

    Raises:
        SourceError: the file cannot be read, has no column of image names, or no captions.
    """
    return caption_rows(read_table(content, name, columns, report, is_name), columns, report, name)


def caption_rows(table: TextTable, columns: Columns, report: Report, name: str) -> list[CaptionRow]:
    """Return the image, captions, labels and id of each row of the table `name`.

    Raises:
        SourceError: there is no column of image names, or no captions.
    """
    if not table.rows and without_captions(columns):
        return []
    if not table.rows:
        raise SourceError(
            f"{name}: the file has no rows with an image and its captions. Remove it, or pass --columns "
            'captions= if there are no captions (in Python: columns={"captions": []}).'
        )
    check_columns(columns, table.columns, name)
    image = file_name_column(table.columns, columns)
    if image is None:
        raise SourceError(
            f"{name}: no column of file names (file_name) among {some_names(table.columns) or 'none'}. "
            'Name it with --columns image=NAME (in Python: columns={"image": NAME}).'
        )
    others = [column for column in table.columns if column != image]
    texts, label = caption_columns(others, columns), label_column(others, columns)
    chosen_id = columns.get("image_id") or next(
        (each for each in others if plain_name(each) == "image_id"), None
    )
    rows = []
    for place, values in table.rows:
        if not (file_name := id_text(values.get(image))):
            report.skip(place, f"no file name in the column {image}")
            continue
        captions = read_captions(values, texts, report, place)
        labels = read_labels(values.get(label)) if label else None
        rows.append(CaptionRow(file_name, captions, labels, id_text(values.get(str(chosen_id))) or None))
    examples = {
        text: next((row.values[text] for row in table.rows if row.values.get(text)), None) for text in texts
    }
    hint = keys_hint(examples) or report.example()
    require_captions(name, table.columns, texts, columns, any(row.captions for row in rows), hint)
    if unread := unread_captions(others, texts):
        report.note(f"{name}: captions are read from {some_names(texts)}, not from {some_names(unread)}.")
    return rows


def read_table(
    content: bytes,
    name: str,
    columns: Columns,
    report: Report,
    is_name: Callable[[str], bool] = looks_like_image,
) -> TextTable:
    """Read text in any encoding: JSON, JSON lines, or delimited text with any usual delimiter.

    Raises:
        SourceError: the content cannot be read.
    """
    text, suffix = decode_text(content, name, report), PurePath(name).suffix.lower()
    if suffix == ".json":
        with suppress(ValueError):
            return rows_of_json(parse_json(text), name, report)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return read_json_lines(text, name, report)
    return read_delimited(text, name, columns, report, is_name)


def read_labels(value: Any) -> list[str]:
    """Return the labels in one value: a text, a number, a list, or the text of a list."""
    if isinstance(value, str) and isinstance(parsed := parsed_text(value), list):
        value = parsed
    parts = value if isinstance(value, list) else [value]
    return [label for part in parts if (label := id_text(part))]


def joined_labels(first: list[str] | None, second: list[str] | None) -> list[str] | None:
    """Return the labels of two rows of one image, each once."""
    return second if first is None else list(dict.fromkeys([*first, *(second or ())]))


def keys_hint(examples: Mapping[str, Any]) -> str:
    """Return a sentence on caption columns that are structs with unknown keys.

    Args:
        examples: one value of each caption column.
    """
    for name, value in examples.items():
        if isinstance(value, Mapping) and value:
            key = next(iter(value))
            return f" {name} has the keys {some_names(map(str, value))}: choose one, such as {name}.{key}."
    return ""


def require_captions(
    name: str, known: Iterable[str], texts: list[str], columns: Columns, found: bool, hint: str = ""
) -> None:
    """Check that captions were found, unless `columns` says that there are none.

    Raises:
        SourceError: no column of captions is known, or it holds none.
    """
    if found or without_captions(columns):
        return
    if not texts:
        refuse_captions(name, f"no column of captions among {some_names(known) or 'its columns'}")
    refuse_captions(name, f"no caption in {some_names(texts)}, among the columns {some_names(known)}", hint)
