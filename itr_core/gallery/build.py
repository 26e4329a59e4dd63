"""Build a gallery in a temporary folder that replaces the old gallery when it is complete.

Embeddings are written in shards, so that an interrupted build resumes after the last complete shard.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from PIL import Image

from itr_core.errors import DISK_FULL, NOT_ALLOWED, GalleryError
from itr_core.gallery.content import Content, items_of, skipped_of
from itr_core.gallery.earlier import EarlierGallery, EarlierImage
from itr_core.gallery.image_workers import PreparedImage, UnusableImage, prepared_images
from itr_core.gallery.manifest import (
    FORMAT,
    IMAGES,
    ITEMS,
    NAME,
    TEXTS,
    TOKENS,
    Manifest,
    newer_content,
    stamps,
)
from itr_core.gallery.named_models import remember_model
from itr_core.gallery.source_table import write_source_files
from itr_core.gallery.unit_encoder import UNIT, UnitEncoder
from itr_core.system.files import replace_folder, sweep, whole_file
from itr_core.system.npy import append_rows
from itr_core.system.progress import Progress
from itr_core.system.signals import stop_requested

if TYPE_CHECKING:
    from itr_core.encoders.encoder import Encoder
    from itr_core.gallery.ray_engine import RayEngine
    from itr_core.pairs import PairSet

VERDICTS = Path("analysis", "verdicts.jsonl")
"""What people said about the gallery; a new build keeps it."""
SHARD = UNIT
"""Images per shard of a build in this process: it resumes after the last complete shard."""
PLAN = "plan.json"


def build(
    pairs: "PairSet",
    encoder: "Encoder",
    path: Path,
    progress: Progress,
    *,
    tokens: bool,
    force: bool,
    earlier: EarlierGallery | None,
    engine: "RayEngine | None",
) -> None:
    """See `Gallery.build`."""
    if path.exists() and not (path / NAME).is_file() and (path.is_file() or any(path.iterdir())):
        raise GalleryError(f"{path} exists and is no gallery; choose another folder, or move this one.")
    if (newer := newer_content(path)) and not force:
        raise GalleryError(
            f"{path} was built by a newer version of Pairscope ({newer}). Choose another folder, or replace "
            "the gallery with --force (force=True)."
        )
    path = path.resolve() if path.is_symlink() else path
    part = path.absolute().with_name(f".{path.absolute().name}.part")
    try:
        part.mkdir(parents=True, exist_ok=True)
        sweep(part.parent, path.name)
        with FileLock(part / "lock", blocking=False):
            _Build(pairs, encoder, earlier, part, tokens, engine).run(path, progress)
            remember_model(encoder.spec)
        shutil.rmtree(part, ignore_errors=True)
    except Timeout as error:
        raise GalleryError(f"Another build is writing {path}; wait until it has finished.") from error
    except OSError as error:
        raise GalleryError(_cannot_write(error, path, part, _bytes_needed(pairs, encoder, tokens))) from error


class _Build:
    """One build in the folder `part`.

    plan.json says what is built, shards/ contains the embeddings encoded so far, and gallery/ is the new
    gallery.
    """

    def __init__(
        self,
        pairs: "PairSet",
        encoder: "Encoder",
        earlier: EarlierGallery | None,
        part: Path,
        tokens: bool,
        engine: "RayEngine | None",
    ) -> None:
        self.pairs = pairs
        self.encoder = encoder
        self.earlier = earlier
        self.unchanged = [earlier.image(file.digest) if earlier else None for file in pairs.files]
        self.part = part
        self.tokens = tokens
        self.engine = engine
        self.shards = part / "shards"
        self.gallery = part / "gallery"
        self.units = UnitEncoder(pairs, encoder, earlier, self.gallery, tokens)
        self.plan = {
            "format": FORMAT,
            "shard": engine.shard if engine else SHARD,
            "source": pairs.fingerprint,
            "model": encoder.fingerprint,
        }
        self.plan |= ({"tokens": True} if tokens else {}) | ({"engine": "ray"} if engine else {})

    def run(self, path: Path, progress: Progress) -> None:
        if self.engine:
            self._open_folder()
            content = self.engine.encode(self.pairs, self.encoder, self.part, progress, tokens=self.tokens)
        else:
            self._encode(progress)
            content = self._join()
        self._write_manifest(content)
        if (verdicts := path / VERDICTS).is_file() and not verdicts.is_symlink():
            (self.gallery / VERDICTS).parent.mkdir(exist_ok=True)
            shutil.copyfile(verdicts, self.gallery / VERDICTS)
        (self.part / PLAN).unlink()  # self.gallery becomes the old gallery, with which no build may go on
        replace_folder(self.gallery, path)

    def _open_folder(self) -> None:
        """Delete what another plan has left."""
        plan = self.part / PLAN
        if not (self.gallery.is_dir() and plan.is_file() and plan.read_text() == json.dumps(self.plan)):
            for folder in (self.shards, self.gallery):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
            with whole_file(plan) as file:
                file.write_text(json.dumps(self.plan))
        sweep(self.shards)

    def _encode(self, progress: Progress) -> None:
        """Encode all shards that are missing, in this process."""
        # An event requests the stop: an exception could be lost while worker processes are forked.
        with stop_requested() as stop:
            self._open_folder()
            done = self._resume()
            total = len(self.pairs)
            progress(min(done * SHARD, total), total)
            images = prepared_images(
                self.pairs,
                [row for row in range(done * SHARD, total) if not self.unchanged[row]],
                self.encoder.prepare,
            )

            def report(count: int) -> None:
                progress(count, total)
                if stop.is_set():
                    raise KeyboardInterrupt(
                        f"Stopped after {count} of {total} images. Repeat the command to resume; to discard "
                        f"the work, delete {self.part}."
                    )

            for start in range(done * SHARD, total, SHARD):
                self._encode_shard(images, range(start, min(start + SHARD, total)), report)

    def _resume(self) -> int:
        """Return the number of whole shards, after deleting the others."""
        shards = sorted(self.shards.glob("*.npz"))
        whole = next((index for index, shard in enumerate(shards) if not _is_whole(shard)), len(shards))
        for shard in shards[whole:]:
            shard.unlink()
        return whole

    def _encode_shard(
        self, stream: Iterator[PreparedImage | UnusableImage], rows: range, report: Callable[[int], None]
    ) -> None:
        images: Iterator[PreparedImage | UnusableImage | EarlierImage] = (
            self.unchanged[row] or next(stream) for row in rows
        )
        unit = self.units.encode(rows, images, report)
        with whole_file(self.shards / f"{rows.start // SHARD:05}.npz") as file, file.open("wb") as out:
            records = np.frombuffer(json.dumps(unit.records).encode(), dtype=np.uint8)
            arrays: dict[str, Any] = {"records": records, **unit.arrays}
            np.savez(out, **arrays)

    def _join(self) -> Content:
        """Write the arrays of all shards as one file each."""
        files = sorted(self.shards.glob("*.npz"))
        shards = [_read(file) for file in files]
        records = [record for shard in shards for record in json.loads(shard["records"].tobytes())]
        items = items_of(records)
        np.save(
            self.gallery / IMAGES, np.concatenate([each["images"] for each in shards]), allow_pickle=False
        )
        np.save(self.gallery / TEXTS, np.concatenate([each["texts"] for each in shards]), allow_pickle=False)
        if self.tokens:
            _join_tokens(files, self.gallery / TOKENS, len(items))
        arrays = [IMAGES, TEXTS, *[TOKENS] * self.tokens]
        return Content(items, skipped_of(records), stamps(self.gallery, arrays), [])

    def _write_manifest(self, content: Content) -> None:
        skipped = self.pairs.skipped + content.skipped
        if not len(content.items):
            first = f" The first is {skipped[0].name}: {skipped[0].reason}" if skipped else ""
            raise GalleryError(f"{self.pairs.source}: none of its {len(skipped)} images can be used.{first}")
        pq.write_table(content.items, self.gallery / ITEMS)
        write_source_files(self.pairs, self.gallery)
        thumbnails = content.items["thumbnail"].to_pylist()
        known = content.files | (self.earlier.stamps_of(thumbnails) if self.earlier else {})
        Manifest(
            source=self.pairs.source,
            source_fingerprint=self.pairs.fingerprint,
            options=dict(self.pairs.options),
            model=self.encoder.spec,
            model_fingerprint=self.encoder.fingerprint,
            dim=self.encoder.dim,
            images=len(content.items),
            captions=pc.sum(pc.list_value_length(content.items["captions"])).as_py(),
            created=datetime.now(UTC).replace(microsecond=0),
            skipped=skipped,
            files=stamps(self.gallery, [*content.files, ITEMS, *thumbnails], known),
            shards=content.shards,
        ).write(self.gallery)


def _is_whole(shard: Path) -> bool:
    """Compare the content of a shard with the checksums that a zip file has."""
    try:
        with ZipFile(shard) as file:
            return file.testzip() is None
    except (BadZipFile, EOFError, ValueError, NotImplementedError):
        return False


def _read(shard: Path) -> dict[str, np.ndarray]:
    with np.load(shard, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("records", "images", "texts")}


def _join_tokens(shards: list[Path], path: Path, n: int) -> None:
    """Concatenate the tokens of all shards on disk, because together they may exceed memory."""
    with path.open("wb") as file:
        for shard in shards:
            with np.load(shard, allow_pickle=False) as arrays:
                tokens = arrays["tokens"]
            if len(tokens):  # otherwise none of its images could be decoded
                append_rows(file, tokens, n)


def _bytes_needed(pairs: "PairSet", encoder: "Encoder", tokens: bool) -> int:
    """Estimate the disk space of a build: all arrays twice (shards and result) and 12 kB per thumbnail."""
    captions = sum(map(len, pairs.captions))
    arrays = 4 * encoder.dim * (len(pairs) + captions)
    if tokens:
        _, patches = encoder.encode_images([Image.new("RGB", (8, 8))], tokens=True)
        arrays += 2 * patches.size * len(pairs)
    return 2 * arrays + 12_000 * len(pairs) + 200 * captions


def _cannot_write(error: OSError, path: Path, part: Path, need: int) -> str:
    why = f"The gallery {path} cannot be written ({error.strerror or error})."
    if error.errno in NOT_ALLOWED:
        return f"{why} Choose a folder with write permission."
    if error.errno and error.errno not in DISK_FULL:
        return f"{why} Choose another folder."
    free = shutil.disk_usage(next(folder for folder in part.parents if folder.exists())).free
    return (
        f"{why} It needs about {need / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free. Free disk space and "
        "repeat the command, which resumes where it stopped, or choose another folder. An older gallery in "
        f"this folder is unchanged. To discard the work, delete {part}."
    )
