"""A folder of images, with or without captions: `folder:PATH`.

Caption files can be anywhere in the folder; they name images relative to their own folder. They are
`metadata.jsonl` and `metadata.csv` (the layout of imagefolder in `datasets`), and `captions.txt` in the
forms of Flickr8k and Flickr30k: `name.jpg#0<TAB>caption`, `name.jpg,caption` and `name.jpg|0|caption`. An
image can also have its captions in a text file beside it, and its label in the name of its folder.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from itr_core.errors import ImageError, SourceError
from itr_core.pairs.caption_files import (
    TABLES,
    CaptionRow,
    choose_caption_files,
    read_caption_file,
)
from itr_core.pairs.columns import Columns, file_name_column, without_captions
from itr_core.pairs.decoding import open_file
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.from_files import Record, pairs_of_files
from itr_core.pairs.identity import unique_ids
from itr_core.pairs.kinds import has_image_signature, has_image_suffix, may_be_image, unread_reason
from itr_core.pairs.listing import Entry, list_folder
from itr_core.pairs.name_index import NameIndex
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Report, shorten
from itr_core.pairs.rows import looks_like_image
from itr_core.pairs.sidecars import read_sidecars, sidecars

_SPLITS = frozenset(("train", "training", "val", "valid", "validation", "dev", "test", "testing", "restval"))


def load(
    rest: str,
    *,
    columns: Columns | None = None,
    limit: int | None = None,
    options: FileOptions = FileOptions(),
) -> PairSet:
    """Read the images under the folder `rest` in the order of their paths, which are their ids.

    Images without captions are listed in `PairSet.uncaptioned`. Files that are named in a caption file but
    missing, and photos and videos in formats that are not read, are listed in `PairSet.skipped`. Hidden
    files, thumbnails of a NAS and galleries are passed over.

    Raises:
        SourceError: there is no such folder, or none of its files is a usable image.
    """
    root, report = Path(rest), Report()
    if not root.is_dir():
        raise SourceError(f"folder:{rest}: no such folder.")
    files = list_folder(root, options, report)
    return pairs_of_entries(
        files, report, root=root, source=f"folder:{rest}", columns=columns, limit=limit, options=options
    )


def pairs_of_entries(
    files: Sequence[Entry],
    report: Report,
    *,
    root: Path,
    source: str,
    columns: Columns | None = None,
    limit: int | None = None,
    options: FileOptions = FileOptions(),
    above_classes: int = 0,
) -> PairSet:
    """Build a set of the images among the files of a folder or archive, with the captions in other files.

    Args:
        files: all files, in the order of their paths.
        report: what was left out so far; it is completed.
        root: the folder or archive.
        source: the spec of the source.
        columns: roles of columns of the caption files, see `load_pairs`.
        limit: maximum number of images.
        options: which files are read.
        above_classes: number of folders at the start of all paths that are no classes.

    Raises:
        SourceError: none of the files is a usable image, or a caption file cannot be read.
    """
    images = [entry for entry in files if _is_image(entry)]
    others = {entry.path: entry for entry in files}
    for image in images:
        del others[image.path]
    options.report_unused(report)
    if not images:
        _report_unread(others, report)
        raise SourceError(f"{source}: {_nothing(report)}")
    index = NameIndex((entry.path for entry in images), str(root.absolute()))
    beside = sidecars(others.values(), images)
    rows = _captioned(others, index, columns or {}, report)
    if columns and not without_captions(columns) and not rows and not beside:
        raise SourceError(
            f"{source}: --columns names {', '.join(columns)}, but there is no caption file; remove the "
            "option, or add a metadata.csv."
        )
    captions = {path: row.captions for path, row in rows.items()}
    labels = {path: row.labels for path, row in rows.items()}
    if not labels and not beside:
        labels |= _class_names(images, above_classes)
    for image_path, found in beside.items():
        for entry in found:
            others.pop(entry.path, None)
        if image_path in captions:
            report.changed("Text files beside images that a caption file names, not read", str(found[0].path))
        else:
            captions[image_path] = read_sidecars(found, columns or {}, report)
    _report_unread(others, report)
    if not any(captions.values()):
        _name_tables(others, root, report)
    ids = [row.image_id if (row := rows.get(path)) and row.image_id else str(path) for path, _ in images]
    records = [
        Record(image_id, reference, captions.get(path, []), labels.get(path))
        for image_id, (path, reference) in zip(unique_ids(ids, report), images, strict=True)
    ]
    return pairs_of_files(
        records, source=source, skipped=report.skipped, notes=report.notes, limit=limit, options=options
    )


def _captioned(
    others: dict[PurePosixPath, Entry], index: NameIndex, columns: Columns, report: Report
) -> dict[PurePosixPath, CaptionRow]:
    """Return what the caption files say of each image; they are removed from `others`."""
    rows: dict[PurePosixPath, CaptionRow] = {}
    for path, unread in choose_caption_files(others, report).items():
        for other in unread:
            del others[PurePosixPath(other)]
        for image, row in _rows(others.pop(PurePosixPath(path)), index, columns, report):
            rows[image] = rows[image].joined(row) if image in rows else row
    return rows


def _is_image(entry: Entry) -> bool:
    """Tell whether a file is an image, by its suffix, else by its first bytes."""
    if has_image_suffix(entry.path):
        return True
    if not may_be_image(entry.path):
        return False
    try:
        with open_file(entry.reference) as file:
            return has_image_signature(file.read(16))
    except ImageError:
        return False


def _rows(
    file: Entry, index: NameIndex, columns: Columns, report: Report
) -> list[tuple[PurePosixPath, CaptionRow]]:
    """Return the rows of a caption file with the paths of their images; the others are reported."""
    folder = file.path.parent

    def is_name(name: str) -> bool:
        if looks_like_image(name) or file_name_column([name], {}):  # the latter is the header
            return looks_like_image(name)
        with suppress(ImageError):
            return bool(index.find(name, folder))
        return False

    try:
        with open_file(file.reference) as content:
            rows = read_caption_file(content.read(), str(file.path), columns, report, is_name)
    except ImageError as error:
        raise SourceError(f"{file.path}: {error}. Remove this caption file, or fill it.") from error
    found, missing = [], {}
    for row in rows:
        try:
            found.append((PurePosixPath(index.find(row.file_name, folder)), row))
        except ImageError as error:
            missing[row.file_name] = f"named in {file.path}, but {error}"
    if missing and not found and not without_captions(columns):
        name, reason = next(iter(missing.items()))
        raise SourceError(
            f"{file.path}: none of the {len(missing)} images that it names is found ({shorten(name)}: "
            f"{reason}). Put it where its images are, or pass --columns captions= to go without captions."
        )
    for name, reason in missing.items():
        report.skip(name, reason)
    return found


def _class_names(images: Sequence[Entry], above: int) -> dict[PurePosixPath, list[str] | None]:
    """Return the names of the images' folders as labels, if the folders are classes.

    They are if all images are equally deep in at least two folders that have other names than splits.
    """
    parents = {entry.path.parent for entry in images}
    depths = {len(parent.parts) for parent in parents}
    names = {parent.name for parent in parents}
    if len(depths) > 1 or max(depths, default=0) <= above or len(names) < 2 or names & _SPLITS:
        return {}
    return {entry.path: [entry.path.parent.name] for entry in images}


def _report_unread(files: dict[PurePosixPath, Entry], report: Report) -> None:
    for path in files:
        if reason := unread_reason(path):
            report.skip(str(path), reason)
        else:
            report.changed("Files that are neither images nor captions, passed over", str(path))


def _name_tables(files: Iterable[PurePosixPath], root: Path, report: Report) -> None:
    """Name a file that may have the captions of a folder without captions."""
    suffixes = (*TABLES, ".parquet")
    for path in files:
        if path.suffix.lower() in suffixes and (root / path).is_file():
            report.note(f"No captions were found. If {path} has them, read the source {root / path} instead.")
            return


def _nothing(report: Report) -> str:
    """Say what a source without images has instead."""
    found = [f"{name}: {reason}" for name, reason in report.skipped[:3]] + report.notes[:3]
    return f"there are no images. {'; '.join(found) or 'It is empty.'}"
