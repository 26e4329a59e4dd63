"""List the files of a folder, without those of systems, galleries and links that lead out."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from itr_core.errors import SourceError
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.kinds import is_of_system
from itr_core.pairs.references import reference_of
from itr_core.pairs.report import Report

_GALLERY = ("manifest.json", "items.parquet", "image_embeddings.npy")
_MAX_DEPTH = 64


class Entry(NamedTuple):
    """One file of a source: its relative path, and the reference that opens it."""

    path: PurePosixPath
    reference: str


def list_folder(root: Path, options: FileOptions, report: Report) -> list[Entry]:
    """Return the files under `root` in the order of their paths; the report names what is passed over.

    Raises:
        SourceError: `root` cannot be listed, or is a gallery.
    """
    if _looks_like_gallery(root):
        raise SourceError(
            f"{root} is a gallery. Search it with `pairscope search`; a source is the folder of its images."
        )
    try:
        with os.scandir(root):
            pass
    except OSError as error:
        raise SourceError(f"folder:{root}: cannot be read ({error.strerror}).") from error
    files = _Walk(root, options, report).files(root, PurePosixPath())
    return sorted(files, key=lambda entry: entry.path.parts)


def _looks_like_gallery(folder: Path) -> bool:
    """Tell whether a folder is a gallery of Pairscope, which may be damaged."""
    return (folder / "thumbnails").is_dir() and any((folder / name).is_file() for name in _GALLERY)


class _Walk:
    def __init__(self, root: Path, options: FileOptions, report: Report) -> None:
        self.real_root = os.path.realpath(root)
        self.options = options
        self.report = report
        self.visited = {self.real_root}

    def files(self, folder: Path, path: PurePosixPath) -> Iterator[Entry]:
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            self.report.skip(f"{path}/", f"cannot be read ({error.strerror})")
            return
        for entry in entries:
            # Text, also if the name is not UTF-8: ids are stored as UTF-8.
            own = path / os.fsencode(entry.name).decode("utf-8", "backslashreplace")
            if self._is_left_out(own) or (entry.is_symlink() and not self._may_follow(entry, own)):
                continue
            if entry.is_dir():
                yield from self._folder(Path(entry.path), own)
            elif entry.is_file():
                yield Entry(own, reference_of(Path(entry.path)))
            else:
                self.report.skip(str(own), "not a regular file")

    def _is_left_out(self, path: PurePosixPath) -> bool:
        if self.options.excludes(path, self.report):
            return True
        if is_of_system(path.name):
            self.report.changed(
                "Hidden files, and files of operating systems and NAS, passed over", str(path)
            )
        else:
            return False
        return True

    def _folder(self, folder: Path, path: PurePosixPath) -> Iterator[Entry]:
        real = os.path.realpath(folder)
        if real in self.visited:
            self.report.skip(f"{path}/", "a folder that is read already, by another path")
        elif _looks_like_gallery(folder):
            self.report.changed("Galleries, whose thumbnails are not photos, passed over", f"{path}/")
        elif len(path.parts) > _MAX_DEPTH:
            self.report.skip(f"{path}/", f"more than {_MAX_DEPTH} folders deep")
        else:
            self.visited.add(real)
            yield from self.files(folder, path)

    def _may_follow(self, link: "os.DirEntry[str]", path: PurePosixPath) -> bool:
        if not os.path.exists(link.path):
            self.report.skip(str(path), "a symbolic link that leads nowhere")
        elif self.options.follow_links:
            return True
        elif link.is_dir():
            self.report.skip(f"{path}/", "a symbolic link to a folder; --follow-links reads it")
        elif os.path.commonpath([os.path.realpath(link.path), self.real_root]) != self.real_root:
            self.report.skip(str(path), "a symbolic link out of the folder; --follow-links reads it")
        else:
            return True
        return False
