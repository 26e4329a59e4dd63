"""Recognise the columns of a table that contain captions, file names, ids and labels."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from itr_core.errors import SourceError, did_you_mean

Columns = Mapping[str, str | list[str]]

_ROLES = ("image", "captions", "image_id", "labels")
# The first matching pattern is used. jxie/flickr8k has caption_0 ... caption_4; lmms-lab/flickr30k a list
# in caption; HuggingFaceM4/COCO structs in sentences; Mozilla/flickr30k-transformed-captions alt_text;
# lmms-lab/COCO-Caption a list in answer; clip-benchmark's webdatasets txt, with one caption a line.
_CAPTIONS = (
    r"captions?(_?\d+)?", r"sentences?(_raw)?(_?\d+)?", r"alt_texts?", r"texts?(_?\d+)?", r"comments?",
    r"raw", r"answers?", r"txt",
)  # fmt: skip
_FILE_NAMES = ("file_name", "filename", "image_path", "filepath", "path", "image_name", "image")
_IDS = ("image_id", "cocoid", "filename", "file_name", "img_id", "imgid", "__key__", "id")


def check_columns(columns: Columns, known: Iterable[str], source: str) -> None:
    """Check that `columns` assigns known roles (image, captions, ...) to existing columns.

    Raises:
        SourceError: an unknown role or column.
    """
    known = list(known)
    for role, names in columns.items():
        if role not in _ROLES:
            raise SourceError(f"{source}: unknown role {role!r} in columns.{did_you_mean(role, _ROLES)}")
        for name in [names] if isinstance(names, str) else names:
            if name not in known:
                raise SourceError(f"{source}: there is no column {name!r}.{did_you_mean(name, known)}")


def caption_columns(known: Iterable[str], columns: Columns) -> list[str]:
    """Return the caption columns: those in `columns`, else a known name, else a numbered group of columns."""
    if (chosen := columns.get("captions")) is not None:
        return [chosen] if isinstance(chosen, str) else list(chosen)
    known = list(known)
    for pattern in _CAPTIONS:
        if found := [name for name in known if re.fullmatch(pattern, name, re.IGNORECASE)]:
            plain = [name for name in found if not name[-1].isdigit()]
            return [max(plain, key=len)] if plain else found
    return []


def file_name_column(known: Iterable[str], columns: Columns) -> str | None:
    """Return the column with the names of image files."""
    return _choose("image", _FILE_NAMES, known, columns)


def id_column(known: Iterable[str], columns: Columns) -> str | None:
    """Return the column with image ids."""
    return _choose("image_id", _IDS, known, columns)


def label_column(known: Iterable[str], columns: Columns) -> str | None:
    """Return the column with labels."""
    return _choose("labels", ("labels",), known, columns)


def read_captions(row: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return the captions in the named columns of one row, unchanged, without empty ones."""
    return [text for name in names for text in _texts(row.get(name), one_a_line=name == "txt")]


def _choose(role: str, usual: Iterable[str], known: Iterable[str], columns: Columns) -> str | None:
    if (chosen := columns.get(role)) is not None:
        return chosen if isinstance(chosen, str) else chosen[0]
    known = set(known)
    return next((name for name in usual if name in known), None)


def _texts(value: Any, one_a_line: bool = False) -> list[str]:
    """Read a string, a struct {"raw": string} (Karpathy's layout), or a list of either."""
    if isinstance(value, Mapping):
        value = value.get("raw")
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    if not isinstance(value, str):
        return []
    return [text for text in (value.splitlines() if one_a_line else [value]) if text.strip()]
