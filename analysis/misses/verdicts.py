"""Verdicts of people on misses, appended to a file as one line of JSON each."""

import logging
import os
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import pandas as pd
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from itr_core.errors import QueryError, did_you_mean
from itr_core.system.files import whole_file

log = logging.getLogger(__name__)

Judgement = Literal["true error", "actually right", "unclear"]
JUDGEMENTS: tuple[Judgement, ...] = get_args(Judgement)
TAKEN_BACK = "taken back"
"""Verdict that deletes the earlier one of its owner on the same miss."""
MOST_OF_OWNER = 5_000
"""Most lines of one owner in a file."""
MOST_BYTES = 32 * 2**20
"""Largest file to which verdicts are appended."""


class Verdict(BaseModel):
    """Verdict on one miss, which is identified as in the table of `analysis.misses.causes.misses`.

    `gallery` is the fingerprint of the gallery's source, so that a gallery that is built again keeps its
    verdicts; up to version 0.2, the checksum of its manifest. `owner` is "" where nobody is told apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: datetime
    gallery: str
    direction: Literal["t2i", "i2t"] = Field(
        validation_alias=AliasChoices("direction", "way")  # the name in files of version 0.1
    )
    query: NonNegativeInt
    found: NonNegativeInt
    verdict: Judgement | Literal["taken back"]
    owner: str = ""


class Miss(NamedTuple):
    """A miss of a gallery: see `Verdict`."""

    direction: str
    query: int
    found: int


class VerdictFile:
    """One file of verdicts. Each call reads only the lines that were appended since the one before.

    Several threads may use one object, and several processes may append to the same file.

    Args:
        path: of the file, which is created with the first verdict.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unreadable: list[int] = []
        """Numbers of the lines that are no verdicts; they hide no other line."""
        self._lock = threading.Lock()
        self._forget()

    def of(self, owners: Collection[str], galleries: Collection[str]) -> dict[Miss, str]:
        """Return the last verdict on each miss, the latest last.

        Args:
            owners: whose verdicts; on the same miss, those of a later owner count.
            galleries: fingerprints, as in `Verdict.gallery`.
        """
        with self._lock:
            self._read_new_lines()
            found: dict[Miss, str] = {}
            for owner in owners:
                for (gallery, miss), verdict in self._verdicts.get(owner, {}).items():
                    if gallery in galleries:
                        found.pop(miss, None)
                        found[miss] = verdict
            return found

    def save(
        self, *, gallery: str, direction: str, query: int, found: int, verdict: str, owner: str = ""
    ) -> Verdict:
        """Append a verdict with the current time.

        Args:
            gallery: fingerprint of the gallery's source.
            direction: "t2i" or "i2t".
            query: row of the query.
            found: row of the wrong result.
            verdict: one of `JUDGEMENTS`, or `TAKEN_BACK`.
            owner: whose verdict this is.

        Raises:
            QueryError: an invalid value, or the owner or the file has too many verdicts.
            OSError: the file cannot be written.
        """
        if verdict not in (*JUDGEMENTS, TAKEN_BACK):
            raise QueryError(f"Unknown verdict {verdict!r}.{did_you_mean(verdict, JUDGEMENTS)}")
        fields = {
            "time": datetime.now(UTC), "gallery": gallery, "direction": direction, "query": query,
            "found": found, "verdict": verdict, "owner": owner,
        }  # fmt: skip
        try:
            checked = Verdict.model_validate(fields)
        except ValidationError as error:
            raise QueryError(f"Invalid verdict: {_first(error)}.") from error
        with self._lock:
            self._read_new_lines()
            if self._lines[owner] >= MOST_OF_OWNER:
                raise QueryError(f"There are {MOST_OF_OWNER:,} verdicts of yours, the limit for one visitor.")
            if self._end >= MOST_BYTES:
                raise QueryError("This gallery stores no more verdicts: its file has reached the limit.")
            _append(self.path, checked.model_dump_json(exclude_defaults=True).encode())
        return checked

    def lines_of(self, owner: str) -> Iterator[bytes]:
        """Yield the lines of an owner, oldest first."""
        for line in _lines(self.path, 0):
            if owner.encode() in line:
                verdict = _parsed(line)
                if verdict and verdict.owner == owner:
                    yield line

    def _forget(self) -> None:
        self._file = (0, 0)  # device and inode
        self._end = 0  # bytes read
        self._lines: Counter[str] = Counter()
        self._verdicts: dict[str, dict[tuple[str, Miss], str]] = {}
        self._number = 0  # lines read
        self.unreadable = []

    def _read_new_lines(self) -> None:
        try:
            about = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._forget()
            return
        if (about.st_dev, about.st_ino) != self._file or about.st_size < self._end:
            self._forget()  # another file has its name now
            self._file = (about.st_dev, about.st_ino)
        for line in _lines(self.path, self._end):
            self._end += len(line)
            self._number += 1
            verdict = _parsed(line)
            if verdict is None:
                self.unreadable += [self._number] if line.strip() else []
                continue
            of_owner = self._verdicts.setdefault(verdict.owner, {})
            key = verdict.gallery, Miss(verdict.direction, verdict.query, verdict.found)
            of_owner.pop(key, None)
            if verdict.verdict != TAKEN_BACK:
                of_owner[key] = verdict.verdict
            self._lines[verdict.owner] += 1


def save_verdict(
    path: Path, *, gallery: str, direction: str, query: int, found: int, verdict: str, owner: str = ""
) -> Verdict:
    """Append a verdict to a file: see `VerdictFile.save`."""
    file = VerdictFile(path)
    return file.save(
        gallery=gallery, direction=direction, query=query, found=found, verdict=verdict, owner=owner
    )


def read_verdicts(path: Path) -> pd.DataFrame:
    """Read all verdicts of a file, oldest first.

    There may be several verdicts on a miss; the last one of each owner counts:
    `drop_duplicates(["owner", "gallery", "direction", "query", "found"], keep="last")`, without those that
    were taken back. Lines that are no verdicts are left out with a warning.

    Returns:
        One row per verdict with the fields of `Verdict`; no rows if the file does not exist.
    """
    columns = list(Verdict.model_fields)
    verdicts = []
    for number, line in enumerate(_lines(path, 0) if path.exists() else (), 1):
        if verdict := _parsed(line):
            verdicts.append(tuple(getattr(verdict, column) for column in columns))
        elif line.strip():
            log.warning("%s, line %d is no verdict.", path, number)
    return pd.DataFrame(verdicts, columns=columns)


def renumber(
    path: Path, *, earlier: str, later: str, images: Mapping[int, int], captions: Mapping[int, int]
) -> None:
    """Let the verdicts on a gallery hold for the same misses after an update, which moves rows.

    Verdicts on images and captions that are gone stay as they are: they hold for the earlier gallery.

    Args:
        path: of the file; it may be missing.
        earlier: fingerprint of the gallery's source before the update.
        later: fingerprint after it.
        images: row of an image before the update -> row after it.
        captions: likewise.
    """

    def moved(line: bytes) -> bytes:
        verdict = _parsed(line)
        if verdict is None or verdict.gallery != earlier:
            return line
        queries, results = (captions, images) if verdict.direction == "t2i" else (images, captions)
        if verdict.query not in queries or verdict.found not in results:
            return line
        rows = {"query": queries[verdict.query], "found": results[verdict.found]}
        now = verdict.model_copy(update={"gallery": later, **rows})
        return now.model_dump_json(exclude_defaults=True).encode() + b"\n"

    if not path.is_file() or path.is_symlink():
        return
    size = -1
    while size != path.stat().st_size:  # somebody has judged meanwhile
        size = path.stat().st_size
        lines = [moved(line) for line in _lines(path, 0)]
    with whole_file(path) as part:
        part.write_bytes(b"".join(lines))


def _lines(path: Path, start: int) -> Iterator[bytes]:
    """Yield the complete lines after `start` bytes, with their ends."""
    with os.fdopen(_opened(path, os.O_RDONLY), "rb") as file:
        file.seek(start)
        yield from (line for line in file if line.endswith(b"\n"))


def _append(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(_opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT), "rb+", buffering=0) as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
        cut = file.read(1) not in (b"", b"\n")  # a process was stopped while it wrote the last line
        file.write(b"\n" * cut + line + b"\n")  # in one call, so that lines never mix


def _opened(path: Path, flags: int) -> int:
    """Open a file, but no link or pipe: the author of a gallery could have put one in its place."""
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, name, 0)  # not all on Windows
    return os.open(path, flags, 0o666)


def _parsed(line: bytes) -> Verdict | None:
    try:
        return Verdict.model_validate_json(line)
    except ValidationError:
        return None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
