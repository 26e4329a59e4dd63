"""Text tables of image files and captions: `table:FILE`, and lists in JSON."""

from pathlib import Path
from typing import TypeVar

from itr_core.errors import ImageError, SourceError
from itr_core.pairs.caption_files import CaptionRow, caption_rows, read_table
from itr_core.pairs.columns import Columns, some_names
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.from_files import Record, pairs_of_files
from itr_core.pairs.identity import id_text, unique_ids
from itr_core.pairs.image_search import ImageSearch
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Report
from itr_core.pairs.rows import TextTable
from itr_core.pairs.splits import rows_of_split, separate_split
from itr_core.pairs.text_files import read_bytes

Key = TypeVar("Key")


def load(
    rest: str,
    *,
    columns: Columns | None = None,
    image_root: str | Path | None = None,
    limit: int | None = None,
    options: FileOptions = FileOptions(),
) -> PairSet:
    """Read `FILE[:split]`: CSV, TSV, JSON or JSON lines with a column of image files and one of captions.

    Images are searched in `image_root`, else in the folder of the file, its `images/` folder, and the folder
    above. The rows of one image become one pair. A split is a value of the column `split`.

    Raises:
        SourceError: the file cannot be read, has no such columns, or none of its images is found.
    """
    name, split = separate_split(rest)
    path, report = Path(name), Report()
    table = read_table(read_bytes(path), name, columns or {}, report)
    if split:
        table = rows_of_table_split(table, split, f"table:{rest}")
    search = ImageSearch.beside(path, image_root, options)
    return pairs_of_rows(
        table, columns or {}, search, name=str(path), source=f"table:{rest}", report=report, limit=limit
    )


def rows_of_table_split(table: TextTable, split: str, source: str) -> TextTable:
    """Return the rows whose column `split` has a value.

    Raises:
        SourceError: there is no such row.
    """
    if "split" not in table.columns:
        raise SourceError(f"{source}: there is no column split among {some_names(table.columns)}.")
    rows = rows_of_split([id_text(row.values.get("split")) for row in table.rows], split, source)
    return table._replace(rows=[table.rows[row] for row in rows])


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
    by_name: dict[str, CaptionRow] = {}
    for row in caption_rows(table, columns, report, name):
        _add(by_name, row.file_name, row)
    by_file: dict[Path, CaptionRow] = {}
    for file_name, row in by_name.items():
        try:
            _add(by_file, search.find([file_name]), row)
        except ImageError as error:
            report.skip(file_name, str(error))
    if not by_file:
        raise SourceError(f"{source}: {search.nothing_found(len(by_name), report)}")
    ids = unique_ids([row.image_id or row.file_name for row in by_file.values()], report)
    records = [
        Record(image_id, file, row.captions, row.labels)
        for image_id, (file, row) in zip(ids, by_file.items(), strict=True)
    ]
    return pairs_of_files(
        records,
        source=source,
        skipped=report.skipped,
        notes=report.notes,
        limit=limit,
        options=search.options,
    )


def _add(rows: dict[Key, CaptionRow], key: Key, row: CaptionRow) -> None:
    rows[key] = rows[key].joined(row) if key in rows else row
