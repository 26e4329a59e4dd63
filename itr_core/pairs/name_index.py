"""Find files by the names that caption files give them, which differ in case, Unicode form or suffix."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import PurePosixPath
from unicodedata import normalize

from itr_core.errors import ImageError

_ABSOLUTE = re.compile(r"[A-Za-z]:[/\\]|[/\\]")


class NameIndex:
    """Relative paths of the files of a source.

    Args:
        paths: paths relative to `root`.
        root: absolute path of the source, for names that are absolute or climb with `..`.
    """

    def __init__(self, paths: Iterable[PurePosixPath], root: str) -> None:
        self.root = root.rstrip("/")
        self._paths = {str(path) for path in paths}

    @cached_property
    def _similar(self) -> dict[str, set[str]]:
        """The paths by their keys and the ends of these, with and without suffix; most sources need none."""
        similar: dict[str, set[str]] = defaultdict(set)
        for path in self._paths:
            for name in (path, str(PurePosixPath(path).with_suffix(""))):
                parts = name_key(name).split("/")
                for start in range(len(parts)):
                    similar["/".join(parts[start:])].add(path)
        return similar

    def find(self, name: str, folder: PurePosixPath = PurePosixPath()) -> str:
        """Return the path of a file.

        A name is relative to `folder`, else to the root of the source, else it is the unique end of a path.
        Unicode forms (NFC, NFD), backslashes, a missing suffix, and upper and lower case make no difference,
        unless a file has exactly this name.

        Args:
            name: the name in a caption file.
            folder: folder of the caption file, relative to the root.

        Raises:
            ImageError: there is no such file, or several, or the name leads out of the source.
        """
        for form in dict.fromkeys((name, name.strip().replace("\\", "/"))):
            places = self._places(form, folder)
            if exact := next((place for place in places if place in self._paths), None):
                return exact
            for place in [*places, form]:
                found = self._similar.get(name_key(place), ())
                if len(found) > 1:
                    raise ImageError(f"the name fits several files ({', '.join(sorted(found)[:3])})")
                if found:
                    return next(iter(found))
        raise ImageError("missing" if places else "outside of the source")

    def _places(self, name: str, folder: PurePosixPath) -> list[str]:
        """Return the paths that a name may mean, inside of the source."""
        start = f"{self.root}/"
        places = [name] if _ABSOLUTE.match(name) else [f"{start}{folder}/{name}", f"{start}{name}"]
        normal = map(posixpath.normpath, places)
        return [place.removeprefix(start) for place in normal if place.startswith(start)]


def name_key(name: str) -> str:
    """Return what is equal for names that differ in case or Unicode form."""
    return normalize("NFC", name).casefold()
