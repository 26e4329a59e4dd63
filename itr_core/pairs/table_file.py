"""Text tables of image files and captions: `table:FILE`, and lists in JSON."""

from pathlib import Path

from itr_core.errors import ImageError, SourceError
from itr_core.pairs.caption_files import CaptionRow, caption_rows, read_table
from itr_core.pairs.columns import Columns
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.from_files import Record, pairs_of_files
from itr_core.pairs.identity import unique_ids
from itr_core.pairs.image_search import ImageSearch
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Report
from itr_core.pairs.rows import TextTable


def load(
    rest: str,
    *,
    columns: Columns | None = None,
    image_root: str | Path | None = None,
    limit: int | None = None,
    options: FileOptions = FileOptions(),
) -> PairSet:
    """Read a CSV, TSV, JSON or JSON lines file with a column of image files and columns of captions.

    Images are searched in `image_root`, else in the folder of the file, its `images/` folder, and the folder
    above. The rows of one image become one pair.

    Raises:
        SourceError: the file cannot be read, has no such columns, or none of its images is found.
    """
    path, report = Path(rest), Report()
    table = read_table(path, columns or {}, report)
    search = ImageSearch.beside(path, image_root, options)
    return pairs_of_rows(
        table, columns or {}, search, name=str(path), source=f"table:{rest}", report=report, limit=limit
    )


def pairs_of_rows(
    table: TextTable,
    columns: Columns,
    search: ImageSearch,
    *,
    name: str,
    source: str,
    report: Report,
    limit: int | None = None,
) -> PairSet:
    """Build a set from the rows of the file `name`, whose images are found by `search`.

    Raises:
        SourceError: there is no column of images or captions, or none of the images is found.
    """
    rows = caption_rows(table, columns, report, name)
    images: dict[str, CaptionRow] = {}
    for row in rows:
        known = images.setdefault(row.file_name, row._replace(captions=[]))
        known.captions.extend(row.captions)
    if not images:
        raise SourceError(f"{source}: the file has no rows.")
    found = []
    for row in images.values():
        try:
            found.append((row, search.find([row.file_name])))
        except ImageError as error:
            report.skip(row.file_name, str(error))
    if not found:
        raise SourceError(f"{source}: {search.nothing_found(len(images), report)}")
    ids = unique_ids([row.image_id or row.file_name for row, _ in found], report)
    records = [
        Record(image_id, file, row.captions, row.labels)
        for image_id, (row, file) in zip(ids, found, strict=True)
    ]
    return pairs_of_files(
        records,
        source=source,
        skipped=report.skipped,
        notes=report.notes,
        limit=limit,
        options=search.options,
    )
