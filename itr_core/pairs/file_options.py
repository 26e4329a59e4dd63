"""Options of all sources that read image files."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from PIL import Image

from itr_core.errors import ImageError, SourceError
from itr_core.pairs.decoding import MAX_PIXELS, ImageSource, ImageTooLargeError, check_image, decode_image
from itr_core.pairs.report import Report


@dataclass(frozen=True)
class FileOptions:
    """Which files of a source are read.

    Args:
        exclude: globs of files and folders that are left out, such as `*.png` or `raw/*`.
        follow_links: read what symbolic links lead to, also outside of the source.
        max_pixels: images with more pixels are skipped.
    """

    exclude: tuple[str, ...] = ()
    follow_links: bool = False
    max_pixels: int = MAX_PIXELS

    @classmethod
    def of(
        cls, exclude: Sequence[str] = (), follow_links: bool = False, max_megapixels: float | None = None
    ) -> "FileOptions":
        """Check the options of `load_pairs`.

        Raises:
            SourceError: an empty glob, or a limit that is not positive.
        """
        if not all(exclude):
            raise SourceError("--exclude '': a glob is missing, such as '*.png'.")
        if max_megapixels is not None and not 0 < max_megapixels <= 10_000:
            raise SourceError(f"--max-megapixels {max_megapixels:g}: must be above 0 and at most 10,000.")
        limit = MAX_PIXELS if max_megapixels is None else round(max_megapixels * 1e6)
        return cls(tuple(exclude), follow_links, limit)

    def excludes(self, path: PurePosixPath, report: Report) -> bool:
        """Tell whether a glob matches a relative path, its name or a folder above it, and report this."""
        if not self.exclude:
            return False
        parts = [each for each in (path, *path.parents) if each.name]
        names = {*map(str, parts), *(part.name for part in parts)}
        for glob in self.exclude:
            plain = glob.removeprefix("./").rstrip("/")
            if fnmatch.filter(names, plain) or fnmatch.filter(names, plain.removeprefix("**/")):
                report.changed(f"Left out by --exclude {glob}", str(path))
                return True
        return False

    def report_unused(self, report: Report) -> None:
        """Note the globs that have matched nothing."""
        for glob in self.exclude:
            if f"Left out by --exclude {glob}" not in report.changes:
                report.note(f"--exclude {glob} matches no file.")

    def check(self, source: ImageSource) -> None:
        """Check the header of an image.

        Raises:
            ImageError: the header cannot be read, or the image has too many pixels.
        """
        try:
            check_image(source, self.max_pixels)
        except ImageTooLargeError as error:
            raise ImageError(f"{error} (see --max-megapixels)") from error

    def decode(self, source: ImageSource) -> Image.Image:
        """Decode an image: see `decode_image`.

        Raises:
            ImageError: the image is damaged or has too many pixels.
        """
        try:
            return decode_image(source, self.max_pixels)
        except ImageTooLargeError as error:
            raise ImageError(f"{error} (see --max-megapixels)") from error
