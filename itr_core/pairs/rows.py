"""Rows of text tables: their place in the file, for messages, and their values by column."""

import re
from typing import Any, NamedTuple

_IMAGE_NAME = re.compile(
    r".*\.(jpe?g?|jfif|pjpe?g|jpg[-_]\w+|png|webp|gif|bmp|tiff?|avif|hei[cf]|mpo)\s*", re.I | re.S
)


class TableRow(NamedTuple):
    """One row; `place` names its file and line."""

    place: str
    values: dict[str, Any]


class TextTable(NamedTuple):
    """Rows of one file with the names of their columns."""

    columns: list[str]
    rows: list[TableRow]


def looks_like_image(name: str) -> bool:
    """Tell whether the name has the suffix of an image file."""
    return bool(_IMAGE_NAME.fullmatch(name))
