"""Find the image files that a table or annotation file names, inside of the folders that the user named."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from itr_core.errors import ImageError
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.kinds import SUFFIXES
from itr_core.pairs.name_index import name_key
from itr_core.pairs.report import Report

_COCO_FOLDERS = ("val2017", "train2017", "test2017", "val2014", "train2014", "test2014")
_FLICKR_FOLDERS = ("Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k-images", "flickr30k_images", "Images")
_ENCODED = re.compile(
    r"data:image/|(/9j/|iVBORw0KGgo|R0lGOD|UklGR)[A-Za-z0-9+/=\s]{99}"
)  # JPEG, PNG, GIF, WebP
_SEVERAL = re.compile(r"\[\s*['\"{].*\]", re.DOTALL)
_ANNOTATIONS = re.compile(r"annotations?|annots?|captions?|labels?|meta(data)?|splits?|json", re.I)
_MISSING = "no such file"


class ImageSearch:
    """The one check of all sources that files are inside of the folders that the user named.

    A data set may come from anyone, and a name that is absolute, climbs with `..` or is a symbolic link may
    lead to any file of the computer.

    Args:
        bases: folders to which names are relative, in this order.
        roots: folders that may be read.
        options: whether symbolic links out of the roots are followed.
    """

    def __init__(self, bases: Sequence[Path], roots: Sequence[Path], options: FileOptions) -> None:
        self.bases = [base.absolute() for base in bases]
        self.roots = [os.path.normpath(root.absolute()) for root in roots]
        self.options = options
        self._real_roots = [os.path.realpath(root) for root in self.roots]
        self._real = cache(os.path.realpath)
        self._listing = cache(_listing)

    @classmethod
    def beside(cls, file: Path, image_root: str | Path | None, options: FileOptions) -> "ImageSearch":
        """Return the search for names in `file`: in `image_root`, else in the usual folders beside it."""
        folder = file.absolute().parent
        if image_root is not None:
            return cls([Path(image_root), folder], [Path(image_root)], options)
        beside = [folder.parent / name for name in ("images", *_COCO_FOLDERS, *_FLICKR_FOLDERS)]
        parent = [folder.parent] if _ANNOTATIONS.fullmatch(folder.name) else []
        bases = [folder / "images", folder, folder.parent / "images", folder.parent]
        usual = [place / name for place in (folder, folder.parent) for name in _FLICKR_FOLDERS]
        bases += [place for place in usual if place.is_dir()]  # others would only cost time for each image
        return cls(bases, [folder, *beside, *parent], options)

    def find(self, names: Iterable[str]) -> Path:
        """Return the first file with one of the names.

        Unicode forms (NFC, NFD), backslashes, a missing suffix, and upper and lower case make no difference,
        unless a file has exactly this name.

        Raises:
            ImageError: there is no such file, or several, or it may not be read.
        """
        names = [form for name in names for form in _forms(name)]
        paths = dict.fromkeys(os.path.normpath(path) for name in names for path in self._candidates(name))
        inside = [path for path in paths if _is_within(path, self.roots)]
        for path in inside:
            if os.path.isfile(path):
                return self._checked(path)
        for path in inside:
            if found := self._similar(path):
                return self._checked(found)
        if len(inside) < len(paths) and any(map(_leads_out, names)):
            raise ImageError(f"outside of {self.roots[0]}; name the folder of the images with --image-root")
        raise ImageError(_MISSING)

    def nothing_found(self, count: int, report: Report) -> str:
        """Return the message for a source of `count` images of which none was found."""
        name, reason = report.skipped[-1]
        message = f"none of its {count} images was found in {self.bases[0]} ({name}: {reason})."
        hint = " Pass their folder with --image-root (in Python: image_root)."
        return message + hint if reason == _MISSING else message

    def _candidates(self, name: str) -> Iterator[str]:
        for base in self.bases:
            for folder in ("", *_COCO_FOLDERS):
                yield os.path.join(base, folder, name)

    def _similar(self, path: str) -> str | None:
        """Return the file whose name differs from `path` in case, Unicode form or a missing suffix."""
        found = next(root for root in self.roots if _is_within(path, [root]))
        for part in os.path.relpath(path, found).split(os.sep):
            names = self._listing(found).get(name_key(part), [])
            if len(names) > 1 and part not in names:
                raise ImageError(f"the name fits several files ({', '.join(sorted(names)[:3])})")
            if not names:
                return None
            found = os.path.join(found, part if part in names else names[0])
        return found if os.path.isfile(found) else None

    def _checked(self, path: str) -> Path:
        folder, name = os.path.split(path)
        real = os.path.realpath(path) if os.path.islink(path) else os.path.join(self._real(folder), name)
        if not self.options.follow_links and not _is_within(real, self._real_roots):
            raise ImageError(f"a symbolic link out of {self.roots[0]}; --follow-links reads it")
        return Path(path)


def _forms(name: str) -> list[str]:
    """Return a name as a path: as it is, and with slashes in place of backslashes.

    Raises:
        ImageError: it is a web address, the image itself, or no name of a file.
    """
    if _ENCODED.match(name):
        raise ImageError("an image as base64 text; write it to a file, or as bytes into a Parquet table")
    if _SEVERAL.fullmatch(name):
        raise ImageError("a list of images; one image a row is read")
    if re.match(r"\w{2,}://", name) and not name.startswith("file://"):
        raise ImageError("a web address; images are not downloaded")
    if "\0" in name:
        raise ImageError("a name with a null character")
    path = unquote(name.removeprefix("file://")) if name.startswith("file://") else name.strip()
    return [path, path.replace("\\", "/")]


def _is_within(path: str, roots: Iterable[str]) -> bool:
    return any(path == root or path.startswith(root.rstrip(os.sep) + os.sep) for root in roots)


def _listing(folder: str) -> dict[str, list[str]]:
    """Return the names in a folder by their keys, and those of images also by their keys without suffix."""
    names: dict[str, list[str]] = defaultdict(list)
    with suppress(OSError):
        for name in os.listdir(folder):
            stem, suffix = os.path.splitext(name)
            for key in {name_key(name)} | ({name_key(stem)} if suffix.lower() in SUFFIXES else set()):
                names[key].append(name)
    return names


def _leads_out(name: str) -> bool:
    return os.path.isabs(name) or os.path.normpath(name).startswith("..")
