"""Parquet files as a table whose pictures stay where they are: only captions, ids and labels are read.

`datasets` can stream as well, but only from the first row to the last. Training, updating and resuming need
single rows, so the files are read by pyarrow, through the file system of huggingface_hub.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from itr_core.errors import SourceError
from itr_core.pairs.columns import Columns, caption_columns, check_columns, id_column, label_column
from itr_core.pairs.from_table import StreamedPictures, image_column
from itr_core.pairs.row_groups import ParquetPart, RowGroups, open_parquet, reading, stamp_of

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, Features

THREADS = 16
"""Files whose captions are read at a time: a request mostly waits for the hub."""


def read_texts(
    files: list[str],
    features: "Features | None",
    *,
    source: str,
    columns: Columns,
    split: str | None,
    limit: int | None,
) -> tuple["Dataset", StreamedPictures]:
    """Read the columns of captions, ids and labels, and of the names of pictures, but no pictures.

    Args:
        files: paths, or addresses with a commit (`hf://datasets/ORG/NAME@COMMIT/FILE.parquet`).
        features: of the columns; None for those that the first file states.
        source: the spec that names the source.
        columns: roles of columns, see `load_pairs`.
        split: the split; the column `split` is read, too, if there is one.
        limit: maximum number of images; further files are not read.

    Returns:
        A table with all columns, of which those that are not read are empty, and its pictures.

    Raises:
        SourceError: the files are not parquet files of the same columns, or have no pictures or captions.
    """
    from datasets import Dataset, Features

    if other := next((file for file in files if not file.endswith(".parquet")), None):
        raise SourceError(
            f"{source}: only parquet files can be streamed, not {other.rpartition('/')[2]}. Remove --stream "
            "(in Python: stream=True), or add @refs/convert/parquet to the name, to read the copy of the hub."
        )
    if features is None:
        with reading(files[0]), open_parquet(files[0]) as parquet:
            features = Features.from_arrow_schema(parquet.schema_arrow)
    check_columns(columns, features, source)
    image = image_column(Dataset.from_dict({name: [] for name in features}, features), columns, source)
    if not _is_stored(features[image]):
        raise SourceError(
            f"{source}: the column {image} has names of image files; only pictures inside of the parquet "
            "files can be streamed. Remove --stream (in Python: stream=True)."
        )
    read = _columns_to_read(features, image, columns, split)
    parts: list[ParquetPart] = []
    texts: list[pa.Table] = []
    images = _Images(id_column(read, columns))
    for part, table in _read_files(files, image, read):
        parts.append(part)
        texts.append(table)
        if limit is not None and "split" not in read and images.count(table) > limit:
            break
    return _table(texts, features, image, read), _pictures(parts, texts, image)


class _Images:
    """Counts the images of tables that are read one after the other: different ids, or rows without ids."""

    def __init__(self, id_name: str | None) -> None:
        self._id_name = id_name
        self._ids: set[str] = set()
        self._rows = 0

    def count(self, table: "pa.Table") -> int:
        self._rows += len(table)
        if self._id_name is None:
            return self._rows
        self._ids.update(map(str, table[self._id_name].to_pylist()))
        return len(self._ids)


def _is_stored(feature: Any) -> bool:
    return "string" not in str(getattr(feature, "dtype", ""))


def _columns_to_read(features: "Features", image: str, columns: Columns, split: str | None) -> list[str]:
    others = [name for name in features if name != image]
    texts = [name if name in others else name.partition(".")[0] for name in caption_columns(others, columns)]
    roles = [id_column(features, columns), label_column(features, columns), "split" if split else None]
    return list(dict.fromkeys(name for name in [*texts, *roles] if name and name in others))


def _read_files(files: list[str], image: str, read: list[str]) -> Iterator[tuple[ParquetPart, "pa.Table"]]:
    """Read several files at a time; the results are in the order of the files."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = [pool.submit(_read_file, file, image, read) for file in files]
        try:
            for each in waiting:
                yield each.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _read_file(file: str, image: str, read: list[str]) -> tuple[ParquetPart, "pa.Table"]:
    with reading(file), open_parquet(file) as parquet:
        metadata, names = parquet.metadata, parquet.schema_arrow.names
        if missing := [name for name in (image, *read) if name not in names]:
            raise SourceError(
                f"{file} has no column {missing[0]}, which the first file of the split has. Choose a "
                "configuration whose files have the same columns (hub:ORG/NAME/CONFIG), or other columns "
                "(--columns)."
            )
        leaves = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
        pictures = [index for index, path in enumerate(leaves) if path.partition(".")[0] == image]
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        part = ParquetPart(
            file,
            stamp_of(file),
            image,
            starts=(0, *accumulate(group.num_rows for group in groups)),
            size=sum(group.column(index).total_compressed_size for group in groups for index in pictures),
        )
        paths = [path for path in leaves if path == f"{image}.path"]
        return part, parquet.read(columns=[*read, *paths])


def _table(texts: list["pa.Table"], features: "Features", image: str, read: list[str]) -> "Dataset":
    """Join the tables of the files; columns that are not read have nulls."""
    import pyarrow as pa
    from datasets import Dataset, DatasetInfo, Features, Image, Value
    from datasets.table import table_cast

    kept = Features({name: features[name] for name in read})
    whole = pa.concat_tables([table_cast(table.select(read), kept.arrow_schema) for table in texts])
    n = sum(map(len, texts))
    picture = pa.StructArray.from_arrays(
        [pa.nulls(n, pa.binary()), pa.nulls(n, pa.string())], ["bytes", "path"]
    )
    columns = {
        name: whole[name] if name in read else picture if name == image else pa.nulls(n) for name in features
    }
    shown = Features({name: kept.get(name, Image() if name == image else Value("null")) for name in features})
    return Dataset(pa.table(columns), info=DatasetInfo(features=shown))


def _pictures(parts: list[ParquetPart], texts: list["pa.Table"], image: str) -> StreamedPictures:
    import pyarrow.compute as pc

    paths: list[str | None] = []
    for table in texts:
        named = image in table.column_names
        paths += pc.struct_field(table[image], "path").to_pylist() if named else [None] * len(table)
    return StreamedPictures(paths, RowGroups(parts))
