"""Recognise the columns of a table that contain captions, file names, ids and labels."""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NoReturn

from itr_core.errors import SourceError, did_you_mean
from itr_core.pairs.report import shorten

Columns = Mapping[str, str | list[str]]

_ROLES = ("image", "captions", "image_id", "labels")
# All columns of the first matching pattern are used. jxie/flickr8k has caption_0 ... caption_4;
# lmms-lab/flickr30k a list in caption; HuggingFaceM4/COCO structs in sentences;
# Mozilla/flickr30k-transformed-captions alt_text; lmms-lab/COCO-Caption a list in answer; clip-benchmark's
# webdatasets txt, with one caption a line; open_clip's tables title.
_CAPTIONS = (
    r"captions?(_?\d+)?", r"(image|img)_captions?(_?\d+)?", r"sentences?_raw", r"sentences?(_?\d+)?",
    r"alt(_?texts?)?", r"texts?(_?\d+)?", r"comments?(_?\d+)?", r"raw", r"answers?(_?\d+)?", r"txt",
    r"captions?_(str|text|(?!id|no)[a-z]{2})", r"texts?_(?!id|no)[a-z]{2}",
    r"(?!(n|no|num|number|number_of|has|is)_)\w+_captions?(_?\d+)?",
    r"(\w+_)?descriptions?(_?\d+)?", r"prompts?", r"titles?(_?\d+)?", r"quer(y|ies)", r"headlines?", r"json",
)  # fmt: skip
_FILE_NAMES = (
    "file_name", "filename", "image_path", "filepath", "path", "image_name", "image", "file", "file_path",
    "image_file", "image_filename", "img_path", "img_name", "img_file", "img", "photo", "picture",
)  # fmt: skip
_IDS = ("image_id", "imageid", "cocoid", "filename", "file_name", "img_id", "imgid", "__key__", "id")
_LABELS = (
    "labels", "label", "classes", "class", "class_name", "class_label", "categories", "category",
    "category_name", "tags",
)  # fmt: skip


def check_roles(columns: Columns) -> None:
    """Check that `columns` assigns known roles (image, captions, ...).

    Raises:
        SourceError: an unknown role.
    """
    for role in columns:
        if role not in _ROLES:
            raise SourceError(
                f"--columns {role}=...: unknown role {role!r} in columns.{did_you_mean(role, _ROLES)}"
            )


def check_columns(columns: Columns, known: Iterable[str], source: str) -> None:
    """Check that `columns` assigns known roles to existing columns, or to keys of structs (`captions.en`).

    Raises:
        SourceError: an unknown role or column.
    """
    check_roles(columns)
    known = list(known)
    for role, names in columns.items():
        for name in _names(names):
            if name not in known and (role != "captions" or name.partition(".")[0] not in known):
                raise SourceError(
                    f"{source}: there is no column {name!r}.{did_you_mean(name, _shown(known))}"
                )


def caption_columns(known: Iterable[str], columns: Columns) -> list[str]:
    """Return the caption columns: those in `columns`, else those of the first known name or group."""
    if (chosen := columns.get("captions")) is not None:
        return _names(chosen)
    names = {name: plain_name(name) for name in known}
    for pattern in _CAPTIONS:
        if found := [name for name, plain in names.items() if re.fullmatch(pattern, plain)]:
            plurals = {names[name] for name in found}
            return [name for name in found if names[name] + "s" not in plurals]
    return []


def without_captions(columns: Columns) -> bool:
    """Tell whether `columns` says that there are no captions."""
    return "captions" in columns and not _names(columns["captions"])


def unread_captions(known: Iterable[str], texts: Iterable[str]) -> list[str]:
    """Return the columns that look like captions beside the columns `texts`, which are read."""
    read = {part for name in texts for part in (name, name.partition(".")[0])}
    return [name for name in known if name not in read and caption_columns([name], {})]


def refuse_captions(source: str, reason: str, hint: str = "") -> NoReturn:
    """Raise the error for a source whose captions are not found.

    Raises:
        SourceError: always.
    """
    raise SourceError(
        f"{source}: {reason}.{hint} Name the column with --columns captions=NAME, or pass --columns "
        'captions= if there are none (in Python: columns={"captions": NAME} or {"captions": []}).'
    )


def some_names(names: Iterable[str], most: int = 20) -> str:
    """Return the first names in one line, with commas; a table can have a million columns."""
    found = _shown(islice(names, most + 1))
    return ", ".join(found[:most]) + (", ..." if len(found) > most else "")


def file_name_column(known: Iterable[str], columns: Columns) -> str | None:
    """Return the column with the names of image files."""
    return _choose("image", _FILE_NAMES, known, columns)


def id_column(known: Iterable[str], columns: Columns) -> str | None:
    """Return the column with image ids."""
    return _choose("image_id", _IDS, known, columns)


def label_column(known: Iterable[str], columns: Columns) -> str | None:
    """Return the column with labels."""
    return _choose("labels", _LABELS, known, columns)


def plain_name(name: str) -> str:
    """Return the name in lower case, without spaces around it, with an underscore between its words."""
    return re.sub(r"[\s-]+", "_", name.strip()).casefold()


def _shown(names: Iterable[str]) -> list[str]:
    """Return at most 100 names as they are shown in one line."""
    return [" ".join(shorten(name).split()) for name in islice(names, 100)]


def _names(chosen: str | list[str]) -> list[str]:
    return list(dict.fromkeys(name for name in ([chosen] if isinstance(chosen, str) else chosen) if name))


def _choose(role: str, usual: Iterable[str], known: Iterable[str], columns: Columns) -> str | None:
    if (chosen := columns.get(role)) is not None:
        return next(iter(_names(chosen)), None)
    names: dict[str, str] = {}
    for name in known:
        names.setdefault(plain_name(name), name)
    return next((names[name] for name in usual if name in names), None)
