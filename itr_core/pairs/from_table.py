"""Build a `PairSet` from a table of images and captions with recognised or given column names."""

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from itr_core.errors import ImageError, SourceError
from itr_core.pairs.caption_files import joined_labels, keys_hint, read_labels, require_captions
from itr_core.pairs.captions import read_captions
from itr_core.pairs.columns import (
    Columns,
    caption_columns,
    check_columns,
    file_name_column,
    id_column,
    label_column,
    plain_name,
    some_names,
    unread_captions,
)
from itr_core.pairs.decoding import check_image
from itr_core.pairs.from_files import Record, pairs_of_files
from itr_core.pairs.identity import id_text, rows_of_images, unique_ids
from itr_core.pairs.image_search import ImageSearch
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.pictures import Pictures
from itr_core.pairs.report import Report
from itr_core.pairs.row_groups import RowGroups

if TYPE_CHECKING:
    from datasets import Dataset, Features


def pairs_of_table(
    dataset: "Dataset",
    *,
    source: str,
    columns: Columns | None = None,
    rows: list[int] | None = None,
    search: ImageSearch,
    limit: int | None = None,
    report: Report | None = None,
    streamed: "StreamedPictures | None" = None,
) -> PairSet:
    """Read `rows` (all by default) of a table; image bytes are neither decoded nor copied.

    Images are an image column, a binary column, or a column of file names that `search` finds. Rows of one
    image id and equal pictures become one pair; in a table without ids, rows of equal pictures do. Rows
    without a picture are skipped. `report` has what was left out before. `streamed` has the pictures of a
    streamed table; only their paths are compared.

    Raises:
        SourceError: there is no column of images or captions, or `columns` names an unknown one.
    """
    columns = columns or {}
    check_columns(columns, dataset.column_names, source)
    if not len(dataset):
        raise SourceError(f"{source}: the table has no rows.")
    image = image_column(dataset, columns, source)
    others = [name for name in dataset.column_names if name != image]
    texts = caption_columns(others, columns)
    if not texts:
        require_captions(source, others, texts, columns, found=False)
    report = report or Report()
    rows = list(range(len(dataset))) if rows is None else rows
    table = _Table(dataset, image, texts, columns, rows, report, streamed)
    found = table.images()
    if not found:
        first = report.skipped[0]
        raise SourceError(
            f"{source}: none of its {len(table.rows)} rows has an image ({first.name}: {first.reason})."
        )
    hint = keys_hint({name: _first([column]) for name, column in table.captions.items()}) or report.example()
    require_captions(source, others, texts, columns, any(each.captions for each in found), hint)
    if unread := unread_captions(others, texts):
        report.note(f"{source}: captions are read from {some_names(texts)}, not from {some_names(unread)}.")
    if isinstance(table.pictures, _FileNames):
        files = _files(found, table.pictures.paths, search, report)
        if not files:
            raise SourceError(f"{source}: {search.nothing_found(len(found), report)}")
        return pairs_of_files(
            files,
            source=source,
            skipped=report.skipped,
            notes=report.notes,
            limit=limit,
            options=search.options,
        )
    pairs = _with_captions(table.image_dataset, image, found[:limit])
    return PairSet(
        pairs,
        source=source,
        decode=search.options.decode,
        remote=streamed.files if streamed else None,
        skipped=report.skipped,
        notes=report.notes,
    )


def _files(
    images: Sequence["_Image"], names: Sequence[str], search: ImageSearch, report: Report
) -> list[Record]:
    """Return the images whose files are found; the others are reported."""
    files = []
    for image in images:
        try:
            file = search.find([names[image.index]])
        except ImageError as error:
            report.skip(image.image_id, str(error))
        else:
            files.append(Record(image.image_id, file, image.captions, image.labels))
    return files


@dataclass
class _Image:
    index: int
    image_id: str
    captions: list[str]
    labels: list[str] | None


class _FileNames:
    """The column of file names of a table."""

    def __init__(self, paths: Sequence[Any]) -> None:
        self.paths = [id_text(path) for path in paths]

    def problem(self, row: int) -> str | None:
        """Return why a row has no picture, or None if it has one."""
        return None if self.paths[row] else "no file name in this row"

    def identity(self, row: int) -> Hashable:
        """Return what is equal for equal pictures."""
        return self.paths[row]


class StreamedPictures:
    """The pictures of a streamed table, of which only the paths are known.

    Args:
        paths: of the pictures, None where a row has none.
        files: where the pictures are.
    """

    def __init__(self, paths: Sequence[str | None], files: RowGroups) -> None:
        self.paths = paths
        self.files = files

    def problem(self, row: int) -> None:
        """Return None: whether a row has a picture is found out when it is used."""

    def identity(self, row: int) -> Hashable:
        """Return what is equal for equal pictures with one id."""
        return self.paths[row]


class _Table:
    """The rows of a table as images with captions."""

    def __init__(
        self,
        dataset: "Dataset",
        image: str,
        texts: list[str],
        columns: Columns,
        rows: Sequence[int],
        report: Report,
        streamed: StreamedPictures | None,
    ) -> None:
        from datasets import Dataset, Image, Value

        self.texts = texts
        self.rows = rows
        self.report = report
        self.captions = {name: _values(dataset, name) for name in {_column(name, dataset) for name in texts}}
        self.labels = _labels(dataset, columns)
        self.single = (
            len(texts) == 1 and texts != ["txt"] and not isinstance(_first(self.captions.values()), list)
        )
        self.streamed = streamed is not None
        self.pictures: Pictures | _FileNames | StreamedPictures
        if streamed is not None:
            self.pictures = streamed
            self.image_dataset = Dataset.from_dict({image: streamed.files.names()})
        elif _is(dataset.features[image], "string"):
            self.pictures = _FileNames(_values(dataset, image))
        else:
            images = dataset.select_columns([image])
            if str(getattr(dataset.features[image], "dtype", "")) == "binary_view":  # cannot become a struct
                images = images.cast_column(image, Value("large_binary"))
            self.image_dataset = images.cast_column(image, Image(decode=False))
            self.pictures = Pictures(self.image_dataset, image)
            if not self.pictures.sizes.any() and any(self.pictures.paths):  # names without content
                self.pictures = _FileNames(self.pictures.paths)
        self.id_name = id_column(dataset.column_names, columns)
        ids: Sequence[Any] = [""] * len(dataset)
        if self.id_name:
            ids = _values(dataset, self.id_name)
        elif _is(dataset.features[image], "string"):
            ids = self.pictures.paths
        self.ids = [id_text(value) for value in ids]

    def images(self) -> list[_Image]:
        """Return the images with their captions; rows without a picture are reported."""
        problems = {row: self.pictures.problem(row) for row in self.rows}
        groups = self._groups([problems[row] is None for row in self.rows])
        used = {row for group in groups for row in group}
        for row, problem in problems.items():
            if problem and row not in used:
                self.report.skip(self.ids[row] or f"row {row}", problem)
        ids = unique_ids(self._names([group[0] for group in groups]), self.report)
        return [self._image(group, image_id) for group, image_id in zip(groups, ids, strict=True)]

    def _groups(self, present: list[bool]) -> list[list[int]]:
        ids = [self.ids[row] for row in self.rows]
        # A column called id often numbers the captions: it does not keep rows with equal pictures apart.
        if self.single and plain_name(self.id_name or "") == "id" and len(set(ids)) == len(ids):
            ids = [""] * len(ids)
        groups = rows_of_images(
            ids,
            present=present,
            picture=lambda place: self.pictures.identity(self.rows[place]),
            join=bool(self.texts) and not self.streamed,
        )
        without = sum(here and not image_id for here, image_id in zip(present, ids, strict=True))
        images = sum(not ids[group[0]] for group in groups)
        paths = {self.pictures.paths[row] for row in self.rows}
        if self.streamed and self.single and without and len(paths - {None}) < len(ids):
            self.report.note(
                f"{without} rows without image ids are images of their own: "
                "streamed pictures are not compared."
            )
        if images < without:
            self.report.note(
                f"{without} rows without ids are {images} images: rows with equal pictures are joined."
            )
        return [[self.rows[place] for place in group] for group in groups]

    def _names(self, rows: list[int]) -> list[str]:
        """Return the ids of the images whose first rows are given."""
        numbers = [f"{row:06d}" for row in rows]
        if any(self.ids[row] for row in rows):
            for row in rows:
                if not self.ids[row]:
                    self.report.changed(f"Images without {self.id_name}, named by their rows", f"row {row}")
            return [self.ids[row] or number for row, number in zip(rows, numbers, strict=True)]
        paths = [self.pictures.paths[row] or "" for row in rows]
        for names in ([PurePath(path).name for path in paths], paths):
            if all(names) and len(set(names)) == len(names):
                return [id_text(name) for name in names]
        return numbers

    def _image(self, rows: list[int], image_id: str) -> _Image:
        captions: list[str] = []
        labels: list[str] | None = None
        for row in rows:
            values = {name: column[row] for name, column in self.captions.items()}
            captions += read_captions(values, self.texts, self.report, f"row {row}")
            labels = joined_labels(labels, self.labels(row))
        index = next(row for row in rows if self.pictures.problem(row) is None)
        return _Image(index, image_id, captions, labels)


def _with_captions(pictures: "Dataset", image: str, found: list[_Image]) -> "Dataset":
    """Add captions, ids and labels to the image column; selecting rows last avoids copying images."""
    from datasets import List, Value

    whole = pictures.rename_column(image, "image") if image != "image" else pictures
    names: list[str] = [""] * len(whole)
    captions: list[list[str]] = [[] for _ in names]
    labels: list[list[str]] = [[] for _ in names]
    for each in found:
        names[each.index], captions[each.index] = each.image_id, each.captions
        labels[each.index] = each.labels or []
    texts = List(Value("string"))
    whole = whole.add_column("captions", captions, feature=texts)
    whole = whole.add_column("image_id", names, feature=Value("string"))
    if any(each.labels is not None for each in found):
        whole = whole.add_column("labels", labels, feature=texts)
    return whole.select([each.index for each in found])


def image_column(dataset: "Dataset", columns: Columns, source: str) -> str:
    """Return the column of images, or of the names of their files.

    Raises:
        SourceError: there is none, or several.
    """
    from datasets import Image

    features = dataset.features
    pictures = [name for name, feature in features.items() if isinstance(feature, Image)]
    pictures = pictures or [
        name
        for name, feature in features.items()
        if _may_hold_images(feature) and _holds_images(dataset, name)
    ]
    usual = [name for name in pictures if plain_name(name) in ("image", "img", "jpg", "jpeg", "png", "webp")]
    name = (
        columns.get("image") or (usual[0] if usual else None) or (pictures[0] if len(pictures) == 1 else None)
    )
    if name is None and len(pictures) > 1:
        raise SourceError(
            f"{source}: several columns of images ({', '.join(pictures)}). Choose one, with its captions: "
            f"--columns image={pictures[0]} --columns captions=NAME."
        )
    name = name or file_name_column(features, columns)
    if name is None or not (_may_hold_images(features[name]) or _is(features[name], "string")):
        raise SourceError(
            f"{source}: no column of images or of their file names among {some_names(features)}."
            f'{_why_none(features)} Name it with --columns image=NAME (in Python: columns={{"image": NAME}}).'
        )
    return str(name)


def _may_hold_images(feature: Any) -> bool:
    from datasets import Image

    return isinstance(feature, Image) or _is(feature, "binary") or "bytes" in _fields(feature)


def _why_none(features: "Features") -> str:
    """Explain columns that have something to do with images."""
    for name, feature in features.items():
        if _may_hold_images(getattr(feature, "feature", None)):
            return f" The column {name} has lists of images; one image a row is read."
        if re.search("url", name, re.I):
            return f" Images are not downloaded from {name}."
    return ""


def _holds_images(dataset: "Dataset", name: str) -> bool:
    """Tell whether the first value of a binary column is an image; a column without values may hold them."""
    for value in dataset.select_columns(name)[:100][name]:
        if content := value.get("bytes") if isinstance(value, dict) else value:
            try:
                check_image(content)
            except ImageError:
                return plain_name(name) in ("image", "img", "jpg", "jpeg", "png", "webp")
            return True
    return True


def _labels(dataset: "Dataset", columns: Columns) -> Callable[[int], list[str] | None]:
    from datasets import ClassLabel

    if not (name := label_column(dataset.column_names, columns)):
        return lambda index: None
    feature, values = dataset.features[name], _values(dataset, name)
    feature = getattr(feature, "feature", feature)
    if not isinstance(feature, ClassLabel):
        return lambda index: read_labels(values[index])

    def labels(index: int) -> list[str]:
        value = values[index]
        numbers = value if isinstance(value, list) else [value]
        return [
            feature.int2str(number) for number in numbers if number is not None and number >= 0
        ]  # -1: none

    return labels


def _values(dataset: "Dataset", name: str) -> list[Any]:
    """Return all values of a column; text that is not UTF-8 is repaired."""
    try:
        return list(dataset[name][:])
    except UnicodeDecodeError:
        column = dataset.data.column(name).cast("binary")
        return [value if value is None else value.decode("utf-8", "replace") for value in column.to_pylist()]


def _column(name: str, dataset: "Dataset") -> str:
    """Return the column of `captions.en`."""
    return name if name in dataset.column_names else name.partition(".")[0]


def _first(columns: Any) -> Any:
    return next((value for column in columns for value in column if value is not None), None)


def _is(feature: Any, kind: str) -> bool:
    return str(getattr(feature, "dtype", "")).removeprefix("large_").removesuffix("_view") == kind


def _fields(feature: Any) -> tuple[str, ...]:
    return tuple(feature) if isinstance(feature, dict) else ()
