"""Build a `PairSet` from a table of images and captions with recognised or given column names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from itr_core.errors import SourceError
from itr_core.pairs.columns import (
    Columns,
    caption_columns,
    check_columns,
    file_name_column,
    id_column,
    label_column,
    read_captions,
)
from itr_core.pairs.from_files import Record, pairs_of_files
from itr_core.pairs.pairset import PairSet

if TYPE_CHECKING:
    from datasets import Dataset


def pairs_of_table(
    dataset: "Dataset",
    *,
    source: str,
    columns: Columns | None = None,
    rows: list[int] | None = None,
    image_root: Path | None = None,
    limit: int | None = None,
) -> PairSet:
    """Read `rows` (all by default) of a table; image bytes are neither read nor copied.

    Images are an image column, a binary column, or a column of file names relative to `image_root`. If
    every row has a single caption, the rows of one image id become one pair.

    Raises:
        SourceError: there is no column of images or captions, or `columns` names an unknown one.
    """
    columns = columns or {}
    check_columns(columns, dataset.column_names, source)
    image = _image_column(dataset, columns, source)
    others = [name for name in dataset.column_names if name != image]
    texts = caption_columns(others, columns)
    if not texts and "captions" not in columns:
        raise SourceError(
            f"{source}: no column of captions among {', '.join(others) or 'its columns'}. Name it with "
            'columns={"captions": NAME}, or pass {"captions": []} if there is none.'
        )
    found = _read(dataset, image, texts, columns, range(len(dataset)) if rows is None else rows)
    if _is(dataset.features[image], "string"):
        names, root = dataset[image], image_root or Path()
        files = (Record(r.image_id, root / names[r.index], r.captions, r.labels) for r in found)
        return pairs_of_files(files, source=source, limit=limit)
    return PairSet(_with_captions(dataset, image, found[:limit]), source=source)


@dataclass
class _Row:
    index: int
    image_id: str
    captions: list[str]
    labels: list[str] | None


def _read(
    dataset: "Dataset", image: str, texts: list[str], columns: Columns, rows: range | list[int]
) -> list[_Row]:
    captions = {name: dataset[name][:] for name in texts}
    ids = _image_ids(dataset, image, columns)
    labels = _labels(dataset, columns)
    single = len(texts) == 1 and texts != ["txt"] and not isinstance(_first(captions[texts[0]]), list)
    found: list[_Row] = []
    by_id: dict[str, _Row] = {}
    for index in rows:
        own = read_captions({name: column[index] for name, column in captions.items()}, texts)
        if single and ids[index] in by_id:
            by_id[ids[index]].captions.extend(own)
            continue
        by_id[ids[index]] = row = _Row(index, ids[index], own, labels(index))
        found.append(row)
    return found


def _with_captions(dataset: "Dataset", image: str, found: list[_Row]) -> "Dataset":
    """Add captions, ids and labels to the image column; selecting rows last avoids copying images."""
    from datasets import Image, List, Value

    whole = dataset.select_columns([image]).cast_column(image, Image(decode=False))
    whole = whole.rename_column(image, "image") if image != "image" else whole
    names: list[str] = [""] * len(dataset)
    captions: list[list[str]] = [[] for _ in names]
    labels: list[list[str]] = [[] for _ in names]
    for row in found:
        names[row.index], captions[row.index], labels[row.index] = (
            row.image_id,
            row.captions,
            row.labels or [],
        )
    whole = whole.add_column("captions", captions, feature=List(Value("string")))
    whole = whole.add_column("image_id", names, feature=Value("string"))
    if any(row.labels is not None for row in found):
        whole = whole.add_column("labels", labels, feature=List(Value("string")))
    return whole.select([row.index for row in found])


def _image_column(dataset: "Dataset", columns: Columns, source: str) -> str:
    from datasets import Image

    features = dataset.features
    pictures = [name for name, feature in features.items() if isinstance(feature, Image)]
    binaries = [
        name for name, feature in features.items() if _is(feature, "binary") or "bytes" in _fields(feature)
    ]
    chosen = columns.get("image") or next(
        (name for kind in (pictures, binaries) for name in sorted(kind, key=lambda name: name != "image")),
        None,
    )
    name = chosen or file_name_column(features, columns)
    if name is None or not (name in pictures + binaries or _is(features[name], "string")):
        raise SourceError(
            f"{source}: no column of images or of their file names among {', '.join(features)}. "
            'Name it with columns={"image": NAME}.'
        )
    return str(name)


def _image_ids(dataset: "Dataset", image: str, columns: Columns) -> list[str]:
    """Return the id column, else the file names if they are unique, else row numbers."""
    if name := id_column(dataset.column_names, columns):
        return [str(value) for value in dataset[name]]
    if _is(dataset.features[image], "string"):
        return list(dataset[image])
    if "path" in _fields(dataset.features[image]):
        chunks = dataset.data.column(image).chunks
        paths = [path for chunk in chunks for path in chunk.field("path").to_pylist()]
        names = [PurePath(path).name for path in paths if path]
        if len(set(names)) == len(dataset):
            return names
    return [f"{index:06d}" for index in range(len(dataset))]


def _labels(dataset: "Dataset", columns: Columns) -> Callable[[int], list[str] | None]:
    from datasets import ClassLabel

    if not (name := label_column(dataset.column_names, columns)):
        return lambda index: None
    feature, values = dataset.features[name], dataset[name][:]
    feature = getattr(feature, "feature", feature)
    name_of = feature.int2str if isinstance(feature, ClassLabel) else str

    def labels(index: int) -> list[str]:
        value = values[index]
        return [name_of(part) for part in (value if isinstance(value, list) else [value]) if part is not None]

    return labels


def _first(values: list[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def _is(feature: Any, kind: str) -> bool:
    return str(getattr(feature, "dtype", "")).removeprefix("large_") == kind


def _fields(feature: Any) -> tuple[str, ...]:
    """Return the fields of a struct column; an image column is stored as a struct."""
    from datasets import Image

    return (
        ("bytes", "path")
        if isinstance(feature, Image)
        else tuple(feature)
        if isinstance(feature, dict)
        else ()
    )
