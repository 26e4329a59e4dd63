"""The manifest of a gallery: source, model, counts, and size and hash of every file."""

import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import cache
from hashlib import sha256 as sha256_of_bytes
from pathlib import Path
from shlex import join, quote
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from itr_core.errors import GalleryError
from itr_core.pairs import Skipped
from itr_core.system.files import sha256, whole_file

FORMAT = 1
NAME = "manifest.json"
IMAGES, TEXTS, ITEMS = "image_embeddings.npy", "text_embeddings.npy", "items.parquet"
TOKENS = "image_tokens.npy"
"""Optional file: patch tokens of the images, for re-ranking."""
THUMBNAILS = "thumbnails"
"""Folder of the thumbnails."""
SHARDS = "shards"
"""Folder of a gallery in shards: `shards/NNNNN/` has the arrays of some of its images."""


FILES_AT_A_TIME = 256
"""Files that a thread compares with the manifest before it takes others."""


class Stamp(NamedTuple):
    """Size in bytes and hex SHA-256 digest of one file."""

    size: int
    sha256: str


class ShardSize(NamedTuple):
    """Number of images and captions of one shard."""

    images: int
    captions: int


class Manifest(BaseModel):
    """Content of `manifest.json`; file names are relative to the gallery's folder, with forward slashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    source: str
    source_fingerprint: str
    options: dict[str, Any] = {}
    """Options of the source: columns, image_root, limit, ... (`itr_core.pairs.load_pairs`)."""
    model: str
    model_fingerprint: str
    dim: int
    images: int
    captions: int
    created: datetime
    skipped: list[Skipped]
    files: dict[str, Stamp]
    shards: list[ShardSize] = []
    """Of a gallery whose arrays are in shards."""
    checksum: str = ""
    """SHA-256 digest of all other fields."""

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read the manifest of a gallery.

        Raises:
            GalleryError: The manifest is missing, damaged or of another format.
        """
        try:
            text = (folder / NAME).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise GalleryError(
                f"{folder} is no gallery (its {NAME} cannot be read). {_command_to_build(folder)}"
            ) from error
        if newer := newer_content(folder):
            raise GalleryError(
                f"{folder} was built by a newer version of Pairscope ({newer}). Use that version, or replace "
                f"the gallery: {cls._command_over_newer(text, folder)} --force"
            )
        with suppress(ValidationError):
            manifest = cls.model_validate_json(text)
            if manifest.checksum == manifest._digest():
                return manifest
            raise GalleryError(f"{folder / NAME} is damaged. Rebuild it: {manifest.rebuild_command(folder)}")
        raise GalleryError(
            f"{folder / NAME} is damaged. Rebuild it: pairscope build SOURCE --model MODEL --out "
            f"{quote(str(folder))}"
        )

    @classmethod
    def _command_over_newer(cls, text: str, folder: Path) -> str:
        """Return the command that builds the gallery of a newer manifest with this version."""
        with suppress(ValidationError):
            known = {name: value for name, value in json.loads(text).items() if name in cls.model_fields}
            return cls.model_validate(known).rebuild_command(folder)
        return f"pairscope build SOURCE --model MODEL --out {quote(str(folder))}"

    def write(self, folder: Path) -> None:
        """Write the manifest with its checksum, atomically."""
        complete = self.model_copy(update={"checksum": self._digest()})
        with whole_file(folder / NAME) as part:
            part.write_text(complete.model_dump_json(indent=1, exclude=self._unset), encoding="utf-8")

    def verify(self, folder: Path, *, contents: bool = True, thumbnails: bool = True) -> None:
        """Compare every file with its stamp.

        Args:
            folder: the gallery's folder.
            contents: hash the files, those in shards excepted (see `verify_shard`); otherwise compare only
                their sizes.
            thumbnails: compare the thumbnails, too.

        Raises:
            GalleryError: A file is missing, changed or outside the folder.
        """
        root = folder.resolve()
        names = [name for name in self.files if thumbnails or not name.startswith(f"{THUMBNAILS}/")]

        @cache
        def is_inside(path: str) -> bool:
            return (root / path).resolve().is_relative_to(root)

        def damage(name: str) -> str | None:
            path, stamp = os.path.join(root, name), self.files[name]
            if not is_inside(os.path.dirname(name)) or (os.path.islink(path) and not is_inside(name)):
                return f"{name} is outside the folder"
            if not os.path.isfile(path):
                return f"{name} is missing"
            hashed = contents and not name.startswith(f"{SHARDS}/")
            if os.path.getsize(path) != stamp.size or (hashed and sha256(Path(path)) != stamp.sha256):
                return f"{name} has changed"
            return None

        with ThreadPoolExecutor() as pool:
            # Many files at a time: handing one to a thread takes longer than looking at it.
            parts = pool.map(
                lambda start: [damage(name) for name in names[start : start + FILES_AT_A_TIME]],
                range(0, len(names), FILES_AT_A_TIME),
            )
            if damaged := [found for part in parts for found in part if found]:
                more = f" and {len(damaged) - 1} more files" if len(damaged) > 1 else ""
                moved = (
                    ""
                    if (root / THUMBNAILS).is_dir()
                    else "If its thumbnails were moved, name their place with --thumbnails, or copy them "
                    "back for an update. Else: "
                )
                raise GalleryError(
                    f"The gallery {folder} is damaged: {damaged[0]}{more}. {moved}"
                    f"Rebuild it: {self.rebuild_command(folder)}"
                )

    def verify_shard(self, file: Path, folder: Path) -> None:
        """Compare the content of a file of a shard with its stamp; raise GalleryError if it has changed."""
        name = file.relative_to(folder).as_posix()
        if sha256(file) != self.files[name].sha256:
            raise GalleryError(
                f"The gallery {folder} is damaged: {name} has changed. Rebuild it: "
                f"{self.rebuild_command(folder)}"
            )

    def rebuild_command(self, folder: Path, model: str | None = None, *, tokens: bool = False) -> str:
        """Return the command that rebuilds this gallery.

        Args:
            folder: the gallery's folder.
            model: model spec; by default that of this gallery.
            tokens: store patch tokens, even if this gallery has none.
        """
        command = ["pairscope", "build", self.source, "--model", model or self.model, "--out", str(folder)]
        for name, value in self.options.items():
            command += _arguments(f"--{name.replace('_', '-')}", value)
        return join(command + ["--tokens"] * (tokens or self.has_tokens))

    @property
    def has_tokens(self) -> bool:
        """Whether the gallery has patch tokens."""
        return self.files_of(TOKENS)[0] in self.files

    def files_of(self, array: str) -> list[str]:
        """Return the names of the files of an array, such as IMAGES: one, or one per shard."""
        return [f"{SHARDS}/{shard:05}/{array}" for shard in range(len(self.shards))] or [array]

    @property
    def _unset(self) -> set[str]:
        """Fields that are not written if empty: the first manifests, and their checksums, have none."""
        return {name for name in ("options", "shards") if not getattr(self, name)}

    def _digest(self) -> str:
        content = self.model_dump_json(exclude={"checksum", *self._unset})
        return sha256_of_bytes(content.encode()).hexdigest()


def is_gallery(folder: Path) -> bool:
    """Return true if a folder is a gallery, which may be damaged, and not a source of pairs."""
    return any((folder / name).is_file() for name in (NAME, IMAGES))


def _arguments(flag: str, value: Any) -> list[str]:
    """Return the command-line arguments of an option of a source."""
    if isinstance(value, bool):
        return [flag] * value
    if isinstance(value, dict):
        return [part for role, names in value.items() for part in (flag, f"{role}={_listed(names)}")]
    if isinstance(value, list | tuple):
        return [part for each in value for part in (flag, str(each))]
    return [flag, str(value)]


def _listed(names: Any) -> str:
    return names if isinstance(names, str) else ",".join(map(str, names))


def _command_to_build(folder: Path) -> str:
    """Return the remedy for a path that is no gallery: what is there is most likely a source."""
    if not folder.exists():
        return f"Build one: pairscope build SOURCE --out {quote(str(folder))}"
    named = folder.resolve() if folder.name in ("", "..") else folder
    out = named.parent / f"{named.stem or 'photos'}-gallery"
    return (
        f"If it contains pictures, build a gallery of them: pairscope build {quote(str(folder))} "
        f"--out {quote(str(out))}"
    )


def newer_content(folder: Path) -> str:
    """Describe what a newer version of Pairscope wrote in a gallery; empty if it wrote nothing there."""
    try:
        fields = json.loads((folder / NAME).read_text(encoding="utf-8"))
        version = int(fields["format"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # no gallery, or a damaged one
        return ""
    if version > FORMAT:
        return f"format {version}; this version reads {FORMAT}"
    unknown = fields.keys() - Manifest.model_fields.keys()
    required = {name for name, field in Manifest.model_fields.items() if field.is_required()}
    if not unknown or required - fields.keys():  # a missing key is damage
        return ""
    return f"with {', '.join(sorted(unknown))}, which this version does not know"


def stamps(folder: Path, names: Iterable[str], known: Mapping[str, Stamp] | None = None) -> dict[str, Stamp]:
    """Return the stamps of files in a folder, by name; those in `known` are not read."""

    def stamp(name: str) -> Stamp:
        path = folder / name
        return Stamp(path.stat().st_size, sha256(path))

    found = {name: (known or {}).get(name) for name in names}
    unread = [name for name, each in found.items() if each is None]
    with ThreadPoolExecutor() as pool:
        read = dict(zip(unread, pool.map(stamp, unread), strict=True))
    return {name: each or read[name] for name, each in found.items()}
