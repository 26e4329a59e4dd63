"""Read the spec of a source: its scheme, or the kind of the file or folder that it names."""

import os
from collections.abc import Iterable
from pathlib import Path

from itr_core.errors import SourceError, did_you_mean
from itr_core.pairs.archives import UNREAD_SUFFIXES, is_archive
from itr_core.pairs.caption_files import TABLES
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.kinds import has_image_suffix
from itr_core.pairs.listing import list_folder
from itr_core.pairs.report import Report


def parse_spec(spec: str, schemes: Iterable[str]) -> tuple[str, str]:
    """Return the scheme of a spec, and the rest with `~` expanded.

    Raises:
        SourceError: the scheme is unknown, or the path is missing or of an unknown kind.
    """
    scheme, colon, rest = spec.partition(":")
    if scheme in schemes:
        if not rest and scheme != "picturebook":
            raise SourceError(f"{spec!r}: the path is missing, as in {scheme}:PATH.")
        return scheme, os.path.expanduser(rest)
    name = os.path.expanduser(spec)
    path = Path(name)
    if name and path.is_dir():
        return _kind_of_folder(path), name
    if path.suffix.lower() == ".parquet" and path.is_file():
        return "parquet", name
    if Path(name.removesuffix(":" + name.rpartition(":")[2])).suffix.lower() == ".json":
        return "karpathy", name
    if path.is_file() and path.suffix.lower() in TABLES:
        return "table", name
    # Also a range of shards, and archives that are refused with the reason.
    if (is_archive(path) or path.suffix.lower() in UNREAD_SUFFIXES) and "://" not in name:
        return "archive", name
    if path.is_file():
        other = f", not a {path.suffix} file" if path.suffix else ""
        raise SourceError(
            f"{spec}: a source is a folder, an archive, or a .parquet, {', '.join(TABLES)} file{other}."
        )
    if colon:
        raise SourceError(f"Unknown kind of source {scheme!r} in {spec!r}.{did_you_mean(scheme, schemes)}")
    known = ", ".join(f"{scheme}:..." for scheme in schemes)
    raise SourceError(f"{spec!r}: no such file or folder. A source is a path or one of: {known}.")


def _kind_of_folder(folder: Path) -> str:
    """Return the kind of source that the files of a folder are.

    Photos make it a folder of images, whatever tables are beside them, unless the tables hold more images.
    """
    files = list_folder(folder, FileOptions(), Report())
    images = [entry for entry in files if has_image_suffix(entry.path)]
    tables = [folder / entry.path for entry in files if entry.path.suffix.lower() == ".parquet"]
    pictures = sum(path.stat().st_size for path in tables if _holds_images(path))
    if pictures > sum((folder / entry.path).stat().st_size for entry in images if tables):
        return "parquet"
    if images:
        return "folder"
    if any(is_archive(entry.path) for entry in files):
        return "archive"
    return "parquet" if tables else "folder"


def _holds_images(table: Path) -> bool:
    """Tell whether a parquet file has a column of bytes or of structs with bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        types = parquet.read_schema(table).types
    except (OSError, pa.ArrowException):
        return False
    return any(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)
        for kind in types
    )
