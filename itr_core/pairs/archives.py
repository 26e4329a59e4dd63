"""List the files of .zip and .tar archives, which are read where they are stored and not unpacked.

The shards of WebDataset, as img2dataset writes them, are .tar archives.
"""

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, NamedTuple

from itr_core.errors import SourceError
from itr_core.pairs.file_options import FileOptions
from itr_core.pairs.kinds import is_of_system
from itr_core.pairs.listing import Entry
from itr_core.pairs.references import part_of_archive
from itr_core.pairs.report import Report
from itr_core.system.files import cache_dir, whole_file

SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
"""Suffixes of the archives that can be read."""
MAX_FILE = 1_000_000_000
"""Larger files of an archive, in bytes, are left out."""
MAX_EXPANSION = 100
"""A file that is this many times larger than its compressed content is left out, if it has 10 MB or more."""

_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
_UNREAD = {b"\x28\xb5\x2f\xfd": "Zstandard", b"7z\xbc\xaf\x27\x1c": "7-Zip", b"Rar!": "RAR"}
UNREAD_SUFFIXES = (".zst", ".7z", ".rar")
"""Suffixes of archives that cannot be read."""


class _Member(NamedTuple):
    name: str
    problem: str | None
    reference: str


def is_archive(path: PurePath) -> bool:
    """Tell whether a file has the suffix of an archive that can be read."""
    return path.name.lower().endswith(SUFFIXES)


def list_archive(path: Path, options: FileOptions, report: Report) -> list[Entry]:
    """Return the files of an archive in the order of their paths; the report names those that are left out.

    Raises:
        SourceError: the archive cannot be read.
    """
    try:
        str(path).encode()
        with path.open("rb") as file:
            start = file.read(6)
        for signature, kind in _UNREAD.items():
            if start.startswith(signature):
                raise SourceError(f"{path}: archives of {kind} are not read; unpack it and pass the folder.")
        members = _zip_members(path) if zipfile.is_zipfile(path) else _tar_members(path, start, report)
        files = _usable(members, options, report)
    except UnicodeEncodeError as error:
        raise SourceError(f"{path!r}: the name of the archive is not UTF-8. Rename it.") from error
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except Exception as error:  # of zipfile, tarfile and the decompressors, a dozen types on malformed bytes
        reason = " ".join(str(error).split())
        raise SourceError(f"{path}: no .zip or .tar archive, or a damaged one ({reason}).") from error
    return sorted(files.values(), key=lambda entry: entry.path.parts)


def _usable(members: Iterator[_Member], options: FileOptions, report: Report) -> dict[PurePosixPath, Entry]:
    files: dict[PurePosixPath, Entry] = {}
    for name, problem, reference in members:
        path = PurePosixPath(name.replace("\\", "/").encode("utf-8", "backslashreplace").decode())
        if path.is_absolute() or ".." in path.parts:
            report.skip(str(path), "its name leads out of the archive")
        elif options.excludes(path, report):
            continue
        elif any(map(is_of_system, path.parts)):
            report.changed("Hidden files, and files of operating systems and NAS, passed over", str(path))
        elif problem:
            report.skip(str(path), problem)
        elif path in files:
            report.skip(str(path), "a second file of this name in the archive")
        else:
            files[path] = Entry(path, reference)
    return files


def _zip_members(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
        end = 0
        for info in infos:
            if info.header_offset < end:
                raise ValueError("files that overlap")
            if info.is_dir():
                continue
            if problem := _zip_problem(info):
                yield _Member(info.filename, problem, "")
                continue
            file.seek(info.header_offset + 26)
            lengths = struct.unpack("<HH", file.read(4))  # of name and extra field, before the content
            begin = info.header_offset + 30 + sum(lengths)
            end = begin + info.compress_size
            inflated = info.file_size if info.compress_type == zipfile.ZIP_DEFLATED else None
            reference = part_of_archive(path.absolute(), begin, info.compress_size, inflated)
            yield _Member(info.filename, None, reference)


def _zip_problem(info: zipfile.ZipInfo) -> str | None:
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a symbolic link in an archive"
    if info.flag_bits & 1:
        return "encrypted; unpack the archive and pass the folder"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "compressed in a way that is not read; unpack the archive and pass the folder"
    return _size_problem(info.file_size, info.compress_size)


def _size_problem(size: int, stored: int) -> str | None:
    if size > MAX_FILE or size > max(10_000_000, MAX_EXPANSION * stored):
        return (
            f"{size / 1e6:,.0f} MB from {stored / 1e6:,.1f} MB in the archive, which is too much for an image"
        )
    return None


def _tar_members(path: Path, start: bytes, report: Report) -> Iterator[_Member]:
    plain = next(
        (_decompressed(path, magic) for magic in _OPENERS if start.startswith(magic)), path.absolute()
    )
    with tarfile.open(plain, "r:") as archive:
        for number in count():
            try:
                info = archive.next()
            except tarfile.TarError as error:
                report.skip(path.name, f"damaged after {number} files ({error})")
                return
            if info is None:
                return
            if info.isdir():
                continue
            problem = None if info.isreg() and not info.issparse() else "no regular file in the archive"
            reference = part_of_archive(plain, info.offset_data, info.size)
            yield _Member(info.name, problem or _size_problem(info.size, info.size), reference)


def _decompressed(path: Path, magic: bytes) -> Path:
    """Decompress a .tar once into the cache, because its files cannot be reached one by one.

    Raises:
        ValueError: it expands more than images do.
    """
    status = path.stat()
    key = sha256(f"{path.absolute()}\0{status.st_size}\0{status.st_mtime_ns}".encode()).hexdigest()[:32]
    plain = cache_dir("archives") / f"{key}.tar"
    if plain.exists():
        return plain
    limit = 100_000_000 + 20 * status.st_size
    with whole_file(plain) as part, _OPENERS[magic](path, "rb") as packed, part.open("wb") as file:
        while block := packed.read(1 << 20):
            if file.tell() + len(block) > limit:
                raise ValueError(
                    f"it expands to more than {limit / 1e6:,.0f} MB; unpack it and pass the folder"
                )
            file.write(block)
    return plain
