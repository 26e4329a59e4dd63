"""Images in .zip and .tar archives: `archive:PATH`; also shards of WebDataset, as img2dataset writes them."""

import re
from collections.abc import Iterator
from glob import glob
from pathlib import Path, PurePosixPath

from itr_core.errors import SourceError
from itr_core.pairs.archives import is_archive, list_archive
from itr_core.pairs.columns import Columns
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.folder import pairs_of_entries
from itr_core.pairs.listing import Entry, list_folder
from itr_core.pairs.pairset import PairSet
from itr_core.pairs.report import Report

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}|(?<![\d.])(\d+)\.\.(\d+)|\{([^{}]*,[^{}]*)\}")
_MAX_SHARDS = 100_000


def load(
    rest: str,
    *,
    columns: Columns | None = None,
    limit: int | None = None,
    options: FileOptions = FileOptions(),
) -> PairSet:
    """Read an archive like a folder: with caption files, text files beside images, and folders as labels.

    Args:
        rest: a .zip or .tar file, also compressed; a folder of them; a glob; or a range of shards such as
            `{00000..00009}.tar`. The ids of the images in several archives begin with the archive's name.
        columns: roles of columns of the caption files, see `load_pairs`.
        limit: maximum number of images.
        options: which files are read.

    Raises:
        SourceError: there is no such archive, it cannot be read, or none of its files is a usable image.
    """
    source, report = f"archive:{rest}", Report()
    paths = _archives(rest, source, options, report)
    files: list[Entry] = []
    for name, path in paths.items():
        try:
            listed = list_archive(path, options, report)
        except SourceError as error:
            if len(paths) == 1:
                raise
            report.skip(str(path), str(error).removeprefix(f"{path}: "))
            continue
        folder = name if len(paths) > 1 else PurePosixPath()
        files += [Entry(folder / inner, reference) for inner, reference in listed]
    return pairs_of_entries(
        files,
        report,
        root=Path(rest),
        source=source,
        columns=columns,
        limit=limit,
        options=options,
        above_classes=int(len(paths) > 1),
    )


def _archives(rest: str, source: str, options: FileOptions, report: Report) -> dict[PurePosixPath, Path]:
    """Return the archives by what the ids of their images begin with: their relative path without suffix."""
    root = Path(rest)
    if root.is_dir():
        paths = [root / entry.path for entry in list_folder(root, options, report) if is_archive(entry.path)]
        if not paths:
            raise SourceError(f"{source}: the folder has no .zip or .tar archives.")
        return {_name(path.relative_to(root)): path for path in paths}
    names = [rest] if root.is_file() else list(_shards(rest))
    if len(names) == 1 and not root.is_file():
        names = sorted(glob(rest, recursive=True))
    found = {_name(Path(Path(name).name)): Path(name) for name in names if Path(name).is_file()}
    if not found:
        raise SourceError(
            f"{source}: no such archive. Pass a .zip or .tar file, a folder of them, or a range."
        )
    for name in names:
        if not Path(name).is_file():
            report.skip(name, "no such file")
    return found


def _name(path: Path) -> PurePosixPath:
    return PurePosixPath(path.parent, path.name.partition(".")[0])


def _shards(name: str) -> Iterator[str]:
    """Expand ranges such as {00000..00009} and lists such as {a,b}."""
    match = _RANGE.search(name)
    if not match:
        yield name
        return
    first, last = match[1] or match[3], match[2] or match[4]
    if match[5] is not None:
        values = match[5].split(",")
    elif len(first) > 12 or not 0 <= int(last) - int(first) < _MAX_SHARDS:
        raise SourceError(f"{name}: {match[0]} is no range of at most {_MAX_SHARDS:,} shards.")
    else:
        values = [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)]
    for value in values:
        yield from _shards(name[: match.start()] + value + name[match.end() :])
