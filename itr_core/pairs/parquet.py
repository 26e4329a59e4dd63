"""Parquet files as a source: `parquet:FILE`, a glob, or a folder of them."""

from glob import glob
from pathlib import Path

from itr_core.errors import SourceError
from itr_core.pairs.columns import Columns
from itr_core.pairs.from_table import pairs_of_table
from itr_core.pairs.pairset import PairSet
from itr_core.system.files import cache_dir


def load(
    rest: str,
    *,
    columns: Columns | None = None,
    image_root: str | Path | None = None,
    limit: int | None = None,
) -> PairSet:
    """Load the files that `rest` names, sorted by name; rows stay on disk, memory-mapped.

    Raises:
        SourceError: there is no such file, or it cannot be read as a table.
    """
    from datasets import load_dataset

    source = f"parquet:{rest}"
    path = Path(rest)
    files = sorted(map(str, path.rglob("*.parquet"))) if path.is_dir() else sorted(glob(rest, recursive=True))
    if not files:
        raise SourceError(f"{source}: no such parquet file. Pass a file, a glob in quotes, or a folder.")
    try:
        table = load_dataset("parquet", data_files=files, split="train", cache_dir=str(cache_dir("datasets")))
    except Exception as error:  # exceptions of pyarrow, wrapped by those of datasets
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise SourceError(f"{source}: cannot be read as one parquet table ({reason}).") from error
    root = Path(image_root) if image_root is not None else Path(files[0]).parent
    return pairs_of_table(table, source=source, columns=columns, image_root=root, limit=limit)
