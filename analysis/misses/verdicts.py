"""What a person says of a miss, one line of JSON each, in a file that only ever grows."""

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
    """Of one miss, named as in the table of `analysis.misses.causes.misses`.

    gallery: the `checksum` of its manifest, so that rows of another gallery are never mistaken for these.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: datetime
    gallery: str
    direction: Literal["t2i", "i2t"] = Field(
        validation_alias=AliasChoices("direction", "way")
    )  # "way" until 0.1
    query: NonNegativeInt
    found: NonNegativeInt
    verdict: Judgement


def save_verdict(
    path: Path, *, gallery: str, direction: str, query: int, found: int, verdict: str
) -> Verdict:
    """Append one verdict, with the time, to the file `path`, which need not exist, and return it.

    Several processes may append at once. Raises QueryError if a value is not one of a `Verdict`.
    """
    if verdict not in JUDGEMENTS:
        raise QueryError(f"{verdict!r} is no verdict.{did_you_mean(verdict, JUDGEMENTS)}")
    try:
        captioned = Verdict.model_validate(
            {
                "time": datetime.now(UTC), "gallery": gallery, "direction": direction, "query": query, "found": found,
                "verdict": verdict,
            }
        )  # fmt: skip
    except ValidationError as error:
        raise QueryError(f"This is no verdict on a miss: {_first(error)}.") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
        line = captioned.model_dump_json().encode() + b"\n"
        cut = file.read(1) not in (b"", b"\n")  # another process was stopped while it wrote
        os.write(file.fileno(), b"\n" * cut + line)  # in one call, so that lines never mix
    return captioned


def read_verdicts(path: Path) -> pd.DataFrame:
    """Return all verdicts, oldest first, one per row with the fields of `Verdict`; none if there is no file.

    A person may say otherwise later: `drop_duplicates(["gallery", "direction", "query", "found"], keep="last")`
    leaves what holds. Lines cut short by a stopped process are passed over; GalleryError names any other
    line that is no verdict.
    """
    captioned = []
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            captioned.append(Verdict.model_validate_json(line))
        except ValidationError as error:
            if not _cut_short(line):
                raise GalleryError(
                    f"{path}, line {number}, is no verdict: {_first(error)}. Correct or delete the line."
                ) from error
    return pd.DataFrame([each.model_dump() for each in captioned], columns=list(Verdict.model_fields))


def _cut_short(line: bytes) -> bool:
    """Whether this is how a line of ours begins, without its end; also an empty line."""
    begin = b'{"time":"'
    return not line.endswith(b"}") and (begin.startswith(line) or line.startswith(begin))


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
