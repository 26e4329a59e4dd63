"""Verdicts of people on misses, appended to a file as one line of JSON each."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

import pandas as pd
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from itr_core.errors import GalleryError, QueryError, did_you_mean

Judgement = Literal["true error", "actually right", "unclear"]
JUDGEMENTS: tuple[Judgement, ...] = get_args(Judgement)


class Verdict(BaseModel):
    """Verdict on one miss, which is identified as in the table of `analysis.misses.causes.misses`.

    `gallery` is the checksum of the gallery's manifest: rows of another gallery are other items.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: datetime
    gallery: str
    direction: Literal["t2i", "i2t"] = Field(
        validation_alias=AliasChoices("direction", "way")  # the name in files of version 0.1
    )
    query: NonNegativeInt
    found: NonNegativeInt
    verdict: Judgement


def save_verdict(
    path: Path, *, gallery: str, direction: str, query: int, found: int, verdict: str
) -> Verdict:
    """Append a verdict with the current time to a file. Several processes may append at the same time.

    Args:
        path: of the file, which is created if it does not exist.
        gallery: checksum of the gallery's manifest.
        direction: "t2i" or "i2t".
        query: row of the query.
        found: row of the wrong result.
        verdict: one of `JUDGEMENTS`.

    Raises:
        QueryError: an invalid value.
    """
    if verdict not in JUDGEMENTS:
        raise QueryError(f"Unknown verdict {verdict!r}.{did_you_mean(verdict, JUDGEMENTS)}")
    try:
        checked = Verdict.model_validate(
            {
                "time": datetime.now(UTC),
                "gallery": gallery,
                "direction": direction,
                "query": query,
                "found": found,
                "verdict": verdict,
            }
        )
    except ValidationError as error:
        raise QueryError(f"Invalid verdict: {_first(error)}.") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
        line = checked.model_dump_json().encode() + b"\n"
        cut = file.read(1) not in (b"", b"\n")  # a process was stopped while it wrote the last line
        os.write(file.fileno(), b"\n" * cut + line)  # in one call, so that lines never mix
    return checked


def read_verdicts(path: Path) -> pd.DataFrame:
    """Read all verdicts of a file, oldest first.

    There may be several verdicts on a miss; the last one counts:
    `drop_duplicates(["gallery", "direction", "query", "found"], keep="last")`. Lines that are incomplete
    because a process was stopped are skipped.

    Returns:
        One row per verdict with the fields of `Verdict`; no rows if the file does not exist.

    Raises:
        GalleryError: a line that is no verdict.
    """
    verdicts = []
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            verdicts.append(Verdict.model_validate_json(line))
        except ValidationError as error:
            if not _is_incomplete(line):
                raise GalleryError(
                    f"{path}, line {number}: invalid verdict ({_first(error)}). Correct or delete the line."
                ) from error
    return pd.DataFrame([each.model_dump() for each in verdicts], columns=list(Verdict.model_fields))


def _is_incomplete(line: bytes) -> bool:
    """Return true for the beginning of a line written by `save_verdict`, and for an empty line."""
    begin = b'{"time":"'
    return not line.endswith(b"}") and (begin.startswith(line) or line.startswith(begin))


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
