"""Parquet files as a source: `parquet:FILE`, a glob, or a folder of them."""

from glob import escape, glob
from pathlib import Path

from itr_core.errors import SourceError, reason_of
from itr_core.pairs.columns import Columns
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.from_table import pairs_of_table
from itr_core.pairs.image_search import ImageSearch
from itr_core.pairs.listing import list_folder
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Report
from itr_core.system.files import cache_dir


def load(
    rest: str,
    *,
    columns: Columns | None = None,
    image_root: str | Path | None = None,
    limit: int | None = None,
    options: FileOptions = FileOptions(),
) -> PairSet:
    """Load the files that `rest` names, sorted by name; rows stay on disk, memory-mapped.

    Raises:
        SourceError: there is no such file, or they cannot be read as one table.
    """
    from datasets import load_dataset

    source, report = f"parquet:{rest}", Report()
    path = Path(rest)
    if path.is_dir():
        listed = list_folder(path, options, Report())  # without galleries and links out of the folder
        files = [str(path / entry.path) for entry in listed if entry.path.suffix.lower() == ".parquet"]
    else:
        files = [rest] if path.is_file() else _matches(rest)
    if not files:
        raise SourceError(f"{source}: no such parquet file. Pass a file, a glob in quotes, or a folder.")
    usable = [escape(file) for file in files if _has_rows(file, report)]
    if not usable:
        problem = (
            f"{report.skipped[0].name}: {report.skipped[0].reason}" if report.skipped else "it has no rows"
        )
        raise SourceError(f"{source}: cannot be read as one parquet table ({problem}).")
    try:
        table = load_dataset(
            "parquet", data_files=usable, split="train", cache_dir=str(cache_dir("datasets"))
        )
    except Exception as error:  # exceptions of pyarrow, wrapped by those of datasets
        reason = reason_of(error.__cause__ or error)
        if type(error.__cause__).__name__ == "CastError":
            reason = "the columns of the files differ; pass one file, or a glob of equal ones"
        raise SourceError(f"{source}: cannot be read as one parquet table ({reason}).") from error
    search = ImageSearch.beside(Path(files[0]), image_root, options)
    return pairs_of_table(table, source=source, columns=columns, search=search, limit=limit, report=report)


def _matches(pattern: str) -> list[str]:
    """Return the files that a glob matches; brackets in the name of an existing folder are no pattern."""
    path = Path(pattern)
    if path.parent.is_dir():
        pattern = str(Path(escape(str(path.parent)), path.name))
    return sorted(glob(pattern, recursive=True))


def _has_rows(file: str, report: Report) -> bool:
    """Tell whether a file has rows; a damaged file is reported."""
    from pyarrow import ArrowException
    from pyarrow.parquet import read_metadata

    try:
        return bool(read_metadata(file).num_rows)
    except (ArrowException, OSError) as error:
        report.skip(file, f"not a complete parquet file ({str(error).partition('.')[0]})")
        return False
