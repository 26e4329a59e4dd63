"""Read text files of unknown encoding."""

import codecs
import re
from pathlib import Path

from itr_core.errors import SourceError
from itr_core.pairs.report import Report

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)  # fmt: skip
_OLDER = (
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1255", "cp1256", "cp932", "euc_jp", "gb18030",
    "big5", "cp949", "mac_roman",
)  # fmt: skip


def read_text(path: Path, report: Report) -> str:
    """Return the text of a file in UTF-8, UTF-16, UTF-32 or an older encoding, which is guessed and noted.

    Raises:
        SourceError: the file cannot be opened, or is no text.
    """
    return decode_text(read_bytes(path), str(path), report)


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        SourceError: the file cannot be opened.
    """
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise SourceError(f"{path}: cannot be read ({getattr(error, 'strerror', error)}).") from error


def decode_text(data: bytes, name: str, report: Report) -> str:
    """Return the text of the content of the file `name`; see `read_text`.

    Raises:
        SourceError: the content is no text.
    """
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    encoding = encoding or _wide(data) or "utf-8"
    try:
        return data.decode(encoding).lstrip("\ufeff")  # some programs write the mark twice
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise SourceError(f"{name}: damaged {encoding} text ({error.reason}).") from error
    lines = data.split(b"\n")
    broken = [number for number, line in enumerate(lines) if not _is_utf8(line)]
    if any(not lines[number].isascii() for number in set(range(len(lines))) - set(broken)):
        # Most of the file is UTF-8: a few lines were added in another encoding.
        for number in broken:
            report.changed("Lines that are not UTF-8, read as cp1252", f"{name}, line {number + 1}")
            lines[number] = lines[number].decode("cp1252", "replace").encode()
        return b"\n".join(lines).decode()
    encoding = _older(data)
    if encoding is None:
        raise SourceError(f"{name}: no text in a known encoding. Save it as UTF-8.")
    report.note(
        f"{name} is not UTF-8 and is read as {encoding}. If its captions look wrong, save it as UTF-8."
    )
    return data.decode(encoding)


def split_lines(text: str) -> list[str]:
    """Split at LF, CR LF and CR only: captions may contain the other separators of `str.splitlines`."""
    return re.split(r"\r\n|\n|\r", text)


def _wide(data: bytes) -> str | None:
    """Recognise UTF-16 and UTF-32 without a byte order mark by the zeros of their Latin letters."""
    start = data[:4096]
    zeros = [start[offset::4].count(0) * 4 > 0.8 * len(start) for offset in range(4)]
    wide = {
        (False, True, True, True): "utf-32-le",
        (True, True, True, False): "utf-32-be",
        (False, True, False, True): "utf-16-le",
        (True, False, True, False): "utf-16-be",
    }
    return wide.get(tuple(zeros)) if len(start) >= 8 else None  # type: ignore[arg-type] # four booleans


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _older(data: bytes) -> str | None:
    """Return cp1252 for text with accented Latin letters, else the guess of charset-normalizer.

    On short captions charset-normalizer takes Western European text for Central European.
    """
    from charset_normalizer import from_bytes

    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    accented = [word for word in re.findall(r"\w+", text) if not word.isascii()]
    latin = sum(bool(re.search("[A-Za-z]", word)) for word in accented)
    if text and 2 * latin >= len(accented) and not re.search(r"[^\W\d_][¡-¿][^\W\d_]", text):
        return "cp1252"
    matches = from_bytes(data, cp_isolation=list(_OLDER))
    # Cyrillic letters are half-width Japanese ones in cp932, which hardly any caption has.
    likely = (match.encoding for match in matches if not re.search("[\uff61-\uff9f]{2}", str(match)))
    return next(likely, None)
