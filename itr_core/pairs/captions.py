"""Read captions from one value of a table or of a JSON file."""

import ast
import io
import json
import math
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from itr_core.pairs.columns import caption_columns
from itr_core.pairs.report import Report
from itr_core.pairs.text_files import split_lines

MAX_CHARACTERS = 100_000
"""Longer captions are left out: no text encoder reads more than a few thousand characters."""

# Karpathy's sentences have raw, TextCaps caption_str, others one of the following.
_TEXT_KEYS = ("raw", "caption", "captions", "caption_str", "text", "sentence", "sentences", "value")
_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*")


def read_captions(row: Mapping[str, Any], names: Iterable[str], report: Report, place: str) -> list[str]:
    """Return the captions in the named columns of one row, without blank ones.

    A value is a string, a list, the text of a list ("['a', 'b']"), a struct with a key such as `raw`, only
    `tokens`, or one key for each language. `captions.en` names one key of a struct. Characters are unchanged
    except for halves of surrogate pairs and null characters.

    Args:
        row: values by column.
        names: the columns with captions.
        report: is told about repaired and left out captions.
        place: the name of the row in the report.
    """
    texts: list[str] = []
    try:
        for name in names:
            for text in _texts(_value(row, name), report, name):
                if isinstance(text, str):
                    lines = split_lines(text) if name.casefold() == "txt" else [text]
                    texts += [
                        clean for line in lines if (clean := clean_caption(line, report, place)).strip()
                    ]
                else:
                    report.changed("Captions that are numbers, which are not read", place)
    except RecursionError:
        report.skip(place, "captions that are nested too deeply")
    return texts


def clean_caption(text: str, report: Report, place: str) -> str:
    """Return the caption without invalid characters, or "" if it is too long; both are reported."""
    if len(text) > MAX_CHARACTERS:
        report.skip(place, f"a caption of {len(text):,} characters; the limit is {MAX_CHARACTERS:,}")
        return ""
    valid = clean_text(text)
    if valid != text:
        report.changed("Captions with invalid characters, which were replaced", place)
    return valid


def clean_text(text: str) -> str:
    """Join surrogate pairs, replace lone surrogates by U+FFFD, and null characters by spaces."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", " ").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _value(row: Mapping[str, Any], name: str) -> Any:
    """Return row[name]; `captions.en` means row["captions"]["en"] unless there is a column of this name."""
    if name in row or "." not in name:
        return row.get(name)
    head, _, key = name.partition(".")
    inner = row.get(head)
    if isinstance(inner, str):
        inner = parsed_text(inner)
    return _value(inner, key) if isinstance(inner, Mapping) else None


def _texts(value: Any, report: Report, name: str) -> Iterator[str | float]:
    if isinstance(value, str):
        parsed = parsed_text(value)
        inner = (
            [] if parsed is None else [text for text in _texts(parsed, report, name) if isinstance(text, str)]
        )
        yield from inner or [value]
    elif isinstance(value, Mapping):
        yield from _texts_of_struct(value, report, name)
    elif isinstance(value, bytes):
        with suppress(UnicodeDecodeError):  # else it is no text
            yield value.decode()
    elif isinstance(value, Iterable):
        for part in value:
            yield from _texts(part, report, name)
    elif isinstance(value, int | float) and not math.isnan(value):
        yield value


def _texts_of_struct(value: Mapping[str, Any], report: Report, name: str) -> Iterator[str | float]:
    if key := next((key for key in _TEXT_KEYS if value.get(key)), None):
        yield from _texts(value[key], report, name)
    elif keys := caption_columns(value, {}):
        for key in keys:
            yield from _texts(value[key], report, name)
    elif tokens := value.get("tokens"):
        if isinstance(tokens, str):
            yield tokens
        elif isinstance(tokens, list) and all(isinstance(token, str) for token in tokens):
            yield " ".join(tokens)
    elif all(_LANGUAGE.fullmatch(key) for key in value) and any(
        len(key) != 3 for key in value.keys() - {"id"}
    ):
        if len(value) > 1:
            report.note(
                f"The captions of all languages in {name} are read ({', '.join(value)}). "
                f"Choose one: --columns captions={name}.{next(iter(value))}"
            )
        for part in value.values():
            yield from _texts(part, report, name)


def parsed_text(text: str) -> list[Any] | dict[str, Any] | None:
    """Parse the text of a list or struct, as str(), JSON or NumPy write it; else return None."""
    text = text.strip()
    if len(text) > MAX_CHARACTERS or text[:1] + text[-1:] not in ("[]", "{}", "()"):
        return None
    if text[0] == "(" and "," not in text:  # words in brackets, not a tuple
        return None
    for parse in (json.loads, _strings, ast.literal_eval):
        try:
            parsed = parse(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(parsed, tuple | set):
            parsed = sorted(parsed, key=str) if isinstance(parsed, set) else list(parsed)
        return parsed if isinstance(parsed, list | dict) else None
    return None


def _strings(text: str) -> list[str]:
    """Read a list of quoted strings. NumPy writes no commas, and `literal_eval` would join its strings.

    Raises:
        ValueError: the text is anything else.
    """
    strings: list[str] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.STRING:
                strings.append(ast.literal_eval(token.string))
            elif token.string.strip() not in ("", "[", "]", "(", ")", ",", "None", "nan"):
                raise ValueError(token.string)
    except tokenize.TokenError as error:
        raise ValueError(text) from error
    return strings
