"""What is known to be related: (head, relation, tail), from a file of one's own or ConceptNet's."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from itr_core.errors import SourceError
from itr_core.pairs.pairset import Triple

_UNLIKE = ("Antonym", "DistinctFrom", "Not")  # relations that keep two terms apart


def read_triples(path: Path) -> Iterator[Triple]:
    """Read lines of tab-separated text, plain or .gz, UTF-8; empty ones are passed over.

    Each is `head, relation, tail`, or one of ConceptNet 5's assertions, `/a/..., /r/IsA, /c/en/dog/n,
    /c/en/animal, {...}`, of which those between English terms are taken. Relations that tell things apart
    (Antonym, DistinctFrom, NotDesires, ...) are left out. Raises SourceError, which names the line, for
    anything else.
    """
    try:
        with _open(path) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    triple = _parse(line.rstrip("\r\n").split("\t"), f"{path}, line {number}")
                    if triple and not triple[1].startswith(_UNLIKE):
                        yield triple
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SourceError(f"Cannot read triples from {path}: {error}.") from error


def _open(path: Path) -> IO[str]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _parse(cells: list[str], place: str) -> Triple | None:
    """Return the triple, or None for an assertion between terms that are not English."""
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
        f"{place}: {len(cells)} cells; a line is head, relation and tail between tabs, or one of "
        "ConceptNet's assertions (/a/..., /r/..., /c/en/..., /c/en/..., {...})."
    )
