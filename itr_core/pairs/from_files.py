"""Build a `PairSet` from image files on disk."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from itr_core.errors import ImageError, SourceError
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.image_search import ImageSearch
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.references import reference_of
from itr_core.pairs.report import Report, Skipped


class Record(NamedTuple):
    """One image file with its id, captions and labels; see `references` for the string."""

    image_id: str
    reference: Path | str
    captions: list[str]
    labels: list[str] | None = None


class Named(NamedTuple):
    """An image of an annotation file: its id, the names under which its file is searched, and its texts."""

    image_id: str
    file_names: list[str]
    captions: list[str]
    labels: list[str] | None = None


def pairs_of_names(
    entries: Sequence[Named], search: ImageSearch, *, source: str, report: Report, limit: int | None
) -> PairSet:
    """Build a set of the images whose files are found; the others are skipped and reported.

    Raises:
        SourceError: no image is found, or none is usable.
    """
    records = []
    for entry in entries:
        try:
            path = search.find(entry.file_names)
        except ImageError as error:
            report.skip(entry.file_names[0], str(error))
        else:
            records.append(Record(entry.image_id, path, entry.captions, entry.labels))
    if not records:
        raise SourceError(f"{source}: {search.nothing_found(len(entries), report)}")
    return pairs_of_files(
        records,
        source=source,
        skipped=report.skipped,
        notes=report.notes,
        limit=limit,
        options=search.options,
    )


def pairs_of_files(
    records: Iterable[Record],
    *,
    source: str,
    skipped: Iterable[Skipped] = (),
    notes: Iterable[str] = (),
    limit: int | None = None,
    options: FileOptions = FileOptions(),
) -> PairSet:
    """Build a set of the first `limit` images whose headers are valid; the others are skipped.

    Raises:
        SourceError: no image is usable.
    """
    from datasets import Dataset, Features, Image, List, Value

    usable: list[Record] = []
    problems = list(skipped)
    for record in records:
        if len(usable) == limit:
            break
        try:
            options.check(record.reference)
        except ImageError as error:
            problems.append(Skipped(record.image_id, str(error)))
        else:
            usable.append(record)
    if not usable:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in problems[:3])
        raise SourceError(f"{source}: none of its {len(problems)} images can be used ({reasons}).")

    columns = {
        "image": [{"path": _text(record.reference), "bytes": None} for record in usable],
        "captions": [record.captions for record in usable],
        "image_id": [record.image_id for record in usable],
    }
    features = {"image": Image(decode=False), "captions": List(Value("string")), "image_id": Value("string")}
    if any(record.labels is not None for record in usable):
        columns["labels"] = [record.labels or [] for record in usable]
        features["labels"] = List(Value("string"))
    dataset = Dataset.from_dict(columns, Features(features))
    return PairSet(dataset, source=source, decode=options.decode, skipped=problems, notes=list(notes))


def _text(reference: Path | str) -> str:
    return reference if isinstance(reference, str) else reference_of(reference)
