"""Triples of related words, (head, relation, tail), from a tab-separated file or from ConceptNet."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from itr_core.errors import SourceError
from itr_core.pairs.pairset import Triple

_NEGATIVE_RELATIONS = ("Antonym", "DistinctFrom", "Not")


def read_triples(path: Path) -> Iterator[Triple]:
    """Read triples from tab-separated UTF-8 text, plain or .gz; empty lines are skipped.

    A line is `head, relation, tail`, or an assertion of ConceptNet 5: `/a/..., /r/IsA, /c/en/dog/n,
    /c/en/animal, {...}`, of which only those between English terms are used. Relations between unrelated
    terms (Antonym, DistinctFrom, NotDesires, ...) are skipped.

    Raises:
        SourceError: the file cannot be read, or a line is invalid; the message names the line.
    """
    try:
        with _open(path) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    triple = _parse(line.rstrip("\r\n").split("\t"), f"{path}, line {number}")
                    if triple and not triple[1].startswith(_NEGATIVE_RELATIONS):
                        yield triple
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SourceError(f"Cannot read triples from {path}: {error}.") from error


def _open(path: Path) -> IO[str]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _parse(cells: list[str], place: str) -> Triple | None:
    """Return the triple, or None for an assertion with a term that is not English."""
    if len(cells) == 5 and cells[0].startswith("/a/") and cells[1].startswith("/r/"):
        ends = [cell.split("/") for cell in cells[2:4]]
        if any(parts[:3] != ["", "c", "en"] or len(parts) < 4 for parts in ends):
            return None
        head, tail = (parts[3].replace("_", " ") for parts in ends)
        return head, cells[1].removeprefix("/r/"), tail
    if len(cells) == 3 and all(cell.strip() for cell in cells):
        head, relation, tail = (cell.strip() for cell in cells)
        return head, relation, tail
    raise SourceError(
        f"{place}: {len(cells)} cells. Expected head, relation and tail between tabs, or an assertion of "
        "ConceptNet (/a/..., /r/..., /c/en/..., /c/en/..., {...})."
    )
