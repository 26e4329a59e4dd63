"""JSON files of annotations and of rows, and JSON lines."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from itr_core.errors import SourceError
from itr_core.pairs.captions import clean_text
from itr_core.pairs.columns import file_name_column
from itr_core.pairs.report import Report
from itr_core.pairs.rows import TableRow, TextTable, looks_like_image
from itr_core.pairs.text_files import read_text, split_lines


def read_json(path: Path, report: Report, *, leave_out: Sequence[str] = ()) -> Any:
    """Read a JSON file in any encoding.

    Args:
        path: the file.
        report: is told about the encoding.
        leave_out: keys of objects whose values are forgotten at once, so that they take no memory.

    Raises:
        SourceError: the file cannot be read, or is not JSON.
    """
    try:
        return parse_json(read_text(path, report), leave_out)
    except ValueError as error:
        raise SourceError(f"{path}: not a JSON file ({error}).") from error


def parse_json(text: str, leave_out: Sequence[str] = ()) -> Any:
    """Parse JSON text; control characters in strings are allowed.

    Raises:
        ValueError: invalid or too deeply nested JSON.
    """

    def without(value: dict[str, Any]) -> dict[str, Any]:
        for key in leave_out:
            value.pop(key, None)
        return value

    try:
        return json.loads(text, strict=False, object_hook=without if leave_out else None)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_json_lines(text: str, name: str, report: Report) -> TextTable:
    """Read one JSON object a line, or the list of objects that the whole text is; other lines are skipped.

    Raises:
        SourceError: there is no JSON object.
    """
    rows: list[TableRow] = []
    problems: list[tuple[str, str]] = []
    lines = [] if text.lstrip().startswith("[") else split_lines(text)
    for number, line in enumerate(lines, 1):
        if line.strip():
            place = f"{name}, line {number}"
            try:
                rows.append(TableRow(place, _object(parse_json(line))))
            except ValueError as error:
                problems.append((place, f"not a JSON object ({error})"))
    if not rows:
        try:
            return rows_of_json(parse_json(text), name, report)
        except ValueError as error:
            place, reason = problems[0] if problems else (name, f"not JSON ({error})")
            raise SourceError(f"{place}: {reason}.") from error
    for place, reason in problems:
        report.skip(place, reason)
    return _table(rows)


def rows_of_json(content: Any, name: str, report: Report) -> TextTable:
    """Return the rows of a list of objects, of an object with one such list, or of {image name: captions}.

    Raises:
        SourceError: the content is anything else.
    """
    if isinstance(content, dict):
        if columns := _equal_columns(content):
            content = [
                dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
            ]
        elif isinstance(content.get(str(file_name_column(content, {}))), str):
            content = [content]
        elif content and all(looks_like_image(str(key)) for key in content):
            content = [{"image": key, "caption": value} for key, value in content.items()]
        else:
            lists = {key: value for key, value in content.items() if isinstance(value, list) and value}
            known = next((key for key in ("annotations", "data", "images", "rows") if key in lists), None)
            content = lists[known] if known else next(iter(lists.values())) if len(lists) == 1 else None
    if not isinstance(content, list):
        raise SourceError(f"{name}: not a list of JSON objects with an image and its captions.")
    rows = []
    for number, value in enumerate(content, 1):
        place = f"{name}, entry {number}"
        try:
            rows.append(TableRow(place, _object(value)))
        except ValueError as error:
            report.skip(place, f"not a JSON object ({error})")
    return _table(rows)


def _equal_columns(content: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the columns of a table that pandas wrote column by column, else nothing."""
    columns = {
        name: list(values.values()) if isinstance(values, dict) else values
        for name, values in content.items()
        if isinstance(values, dict | list)
    }
    lengths = {len(values) for values in columns.values()}
    is_table = len(columns) == len(content) and len(lengths) == 1 and file_name_column(columns, {})
    return columns if is_table else {}


def _object(value: Any) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        ValueError: the value is anything else.
    """
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__}")
    return {clean_text(key): content for key, content in value.items()}


def _table(rows: list[TableRow]) -> TextTable:
    return TextTable(list(dict.fromkeys(name for row in rows for name in row.values)), rows)
