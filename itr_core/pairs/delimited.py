"""Delimited text: CSV, TSV, and the caption files of Flickr8k and Flickr30k.

The delimiter and the header are recognised. A line without quotation marks is split at every delimiter; if it
has more fields than the header, the captions are the part that contains the delimiter.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from itr_core.pairs.columns import Columns, caption_columns, file_name_column
from itr_core.pairs.report import Report
from itr_core.pairs.rows import TableRow, TextTable, looks_like_image
from itr_core.pairs.text_files import split_lines

_DELIMITERS = "\t,;|^~\x1f\x01: "  # a space last: `name.jpg a red ball`
_QUOTED_LINES = 100
"""A quoted field that spans more lines has no closing quotation mark."""


def read_delimited(
    text: str, name: str, columns: Columns, report: Report, is_name: Callable[[str], bool] = looks_like_image
) -> TextTable:
    """Read the rows of a delimited file; lines that cannot be read are skipped and named.

    Args:
        text: content of the file.
        name: name of the file in the report.
        columns: roles of its columns, see `load_pairs`.
        report: is told about lines that are left out or changed.
        is_name: tells whether a field is the name of an image. Such a field in the first line means that
            there is no header: the columns are then image, number (if there is one) and caption.
    """
    lines = split_lines(text)
    start = next(
        (row for row, line in enumerate(lines) if line.strip() and not _comment(line, is_name)), None
    )
    if start is None:
        return TextTable([], [])
    if declared := re.fullmatch(r"sep=(.)", lines[start], re.I):  # as Excel reads it
        delimiter, start = declared[1], min(start + 1, len(lines) - 1)
    else:
        delimiter = _delimiter(lines[start], columns, is_name)
    header = [cell.strip() for cell in _cells(lines[start], delimiter)]
    if is_name(_without_number(header[0])):
        numbered = _numbered(lines[start:], delimiter)
        header = ["image", "number", "caption"] if numbered else ["image", "caption"][: len(header)]
        quotes = delimiter == ","
    else:
        header, start, quotes = _unique(header), start + 1, True
    layout = _Layout(header, columns, delimiter, is_name)
    rows = []
    for number, cells in _records(lines, start, layout, quotes, name, report):
        place = f"{name}, line {number}"
        if (fitted := layout.fit(cells)) is None:
            report.skip(place, f"{len(cells)} fields instead of {len(header)}")
        else:
            rows.append(TableRow(place, dict(zip(header, fitted, strict=False))))
    return TextTable(header, rows)


class _Layout:
    """Where the image and the captions are in a line."""

    def __init__(
        self, header: list[str], columns: Columns, delimiter: str, is_name: Callable[[str], bool]
    ) -> None:
        image = file_name_column(header, columns)
        texts = caption_columns([column for column in header if column != image], columns)
        self.header = header
        self.delimiter = delimiter
        self.is_name = is_name
        self.image = header.index(image) if image in header else None
        self.texts = [header.index(column) for column in texts if column in header]
        is_last = self.texts == [len(header) - 1] and len(header) > 1
        self.numbered = is_last and bool(re.search(r"num|idx|index|id$", header[-2], re.I))

    def fit(self, cells: list[str]) -> list[str] | None:
        """Return the cells of a row, one for each column, or None if it is not certain which is which."""
        extra = len(cells) - len(self.header)
        if extra > 0 and not any(cell.strip() for cell in cells[len(self.header) :]):
            cells, extra = cells[: len(self.header)], 0  # delimiters at the end of the line
        if extra > 0:
            if len(self.texts) != 1:
                return None
            first = self.texts[0]
            caption = self.delimiter.join(cells[first : first + extra + 1])
            cells = [*cells[:first], caption, *cells[first + extra + 1 :]]
        elif extra == -1 and self.numbered and (number := re.fullmatch(r"\s*(\d+)\s+(.+)", cells[-1], re.S)):
            cells = [*cells[:-1], *number.groups()]  # a line of Flickr30k's results.csv lacks its second bar
        elif extra < 0:
            missing = set(range(len(cells), len(self.header)))
            if not missing < set(self.texts):  # only the last of several captions may be missing
                return None
        cells = list(cells)
        if self.image is not None:
            cells[self.image] = _without_number(cells[self.image].strip())
        for column in self.texts:
            if column < len(cells):
                cells[column] = cells[column].lstrip(" \t")
        return cells

    def starts_row(self, line: str) -> bool:
        """Tell whether a line is a row of its own, not the continuation of a quoted field."""
        cells = line.split(self.delimiter)
        if len(cells) < min(len(self.header), 2) or self.image is None or self.image >= len(cells):
            return False
        return self.is_name(_without_number(cells[self.image].strip().strip('"')))


def _delimiter(line: str, columns: Columns, is_name: Callable[[str], bool]) -> str:
    """Return the delimiter that gives most known columns, or a first field that names an image."""

    def known(delimiter: str) -> tuple[int, int, int]:
        cells = [cell.strip() for cell in _cells(line, delimiter)]
        if len(cells) == 1:
            return 0, 0, 0
        named = 3 if is_name(_without_number(cells[0])) else 0
        columns_found = {file_name_column(cells, columns), *caption_columns(cells, columns)} & {*cells}
        return named + len(columns_found), len(cells) * (delimiter != " "), -_DELIMITERS.index(delimiter)

    return max(_DELIMITERS, key=known)


def _records(
    lines: Sequence[str], start: int, layout: _Layout, quotes: bool, name: str, report: Report
) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and fields of each row."""
    row = start
    while row < len(lines):
        line, used = lines[row], 1
        if line.strip() and not _comment(line, layout.is_name):
            cells = line.split(layout.delimiter)
            if quotes and '"' in line:
                quoted = _quoted(lines, row, layout)
                if quoted is None:
                    report.changed(
                        "Lines whose quotation marks do not match, read as they are",
                        f"{name}, line {row + 1}",
                    )
                else:
                    cells, used = quoted
            yield row + 1, cells
        row += used


def _quoted(lines: Sequence[str], start: int, layout: _Layout) -> tuple[list[str], int] | None:
    """Return the fields of the row that begins in line `start`, and its number of lines."""

    def row() -> Iterator[str]:
        yield lines[start] + "\n"
        for number in range(start + 1, min(start + _QUOTED_LINES, len(lines))):
            if layout.starts_row(lines[number]):
                return
            yield lines[number] + "\n"

    reader = csv.reader(row(), delimiter=layout.delimiter, strict=True, skipinitialspace=True)
    try:
        return next(reader), reader.line_num
    except csv.Error:
        return None


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return (
            next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
            if '"' in line
            else line.split(delimiter)
        )
    except csv.Error:
        return line.split(delimiter)


def _comment(line: str, is_name: Callable[[str], bool]) -> bool:
    return line.startswith("#") and not is_name(_without_number(re.split(r"[\t,;|]", line)[0].strip()))


def _without_number(name: str) -> str:
    """Remove the number of the caption from Flickr8k's `name.jpg#0`."""
    match = re.fullmatch(r"(.+\.\w+)#\d+", name)
    return match[1] if match else name


def _numbered(lines: Sequence[str], delimiter: str) -> bool:
    """Tell whether the second field of all lines is the number of the caption."""
    cells = [line.split(delimiter) for line in lines if line.strip()]
    numbers = all(len(row) > 1 and re.match(r"\s*\d+(\s|$)", row[1]) for row in cells)
    return numbers and len(cells[0]) > 2 and cells[0][1].strip().isdecimal()


def _unique(header: list[str]) -> list[str]:
    """Return column names that are not empty and occur once."""
    names: dict[str, None] = {}
    repeats: Counter[str] = Counter()
    for number, cell in enumerate(header, 1):
        name = cell or f"column {number}"
        repeats[name] += 1
        while name in names:
            name = f"{cell}_{repeats[cell]}"
            repeats[cell] += 1
        names[name] = None
    return list(names)
