"""Build a gallery: in shards that survive a kill, beside the old one, which is replaced at the very end."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from errno import EACCES, EPERM, EROFS
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from numpy.lib import format as npy
from PIL import Image

from itr_core.encoders.starter_embeddings import StarterEmbeddings, with_starter_embeddings
from itr_core.errors import GalleryError
from itr_core.gallery.image_workers import Picture, pictures
from itr_core.gallery.manifest import FORMAT, IMAGES, ITEMS, NAME, TEXTS, TOKENS, Manifest, stamps
from itr_core.pairs import Skipped
from itr_core.system.files import replace_folder, whole_file
from itr_core.system.progress import Progress
from itr_core.system.signals import stop_requested

if TYPE_CHECKING:
    from itr_core.encoders.dual_encoder import DualEncoder
    from itr_core.pairs import PairSet

SHARD = 64
"""Images between two points where a build can go on; encoded by themselves, so resuming changes no bit."""

_SCHEMA = pa.schema(
    {
        "image_id": pa.string(),
        "captions": pa.list_(pa.string()),
        "thumbnail": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "labels": pa.list_(pa.string()),
    }
)


def build(pairs: "PairSet", encoder: "DualEncoder", path: Path, progress: Progress, *, tokens: bool) -> None:
    """See `Gallery.build`."""
    if path.exists() and not (path / NAME).is_file() and (path.is_file() or any(path.iterdir())):
        raise GalleryError(f"{path} exists and is no gallery; choose another folder, or move it away.")
    part = path.absolute().with_name(f".{path.absolute().name}.part")
    try:
        part.mkdir(parents=True, exist_ok=True)
        with FileLock(part / "lock", blocking=False):
            _Build(pairs, encoder if tokens else with_starter_embeddings(encoder), part, tokens).run(
                path, progress
            )
        shutil.rmtree(part, ignore_errors=True)
    except Timeout as error:
        raise GalleryError(f"Another build is writing {path}; wait until it is done.") from error
    except OSError as error:
        raise GalleryError(_not_written(error, path, part, _need(pairs, encoder, tokens))) from error


class _Build:
    """One build. In `part`: plan.json, what is built; shards/, what is done; gallery/, what will be moved."""

    def __init__(
        self, pairs: "PairSet", encoder: "DualEncoder | StarterEmbeddings", part: Path, tokens: bool
    ) -> None:
        self.pairs = pairs
        self.encoder = encoder
        self.part = part
        self.tokens = tokens
        self.shards = part / "shards"
        self.gallery = part / "gallery"
        self.plan = {
            "format": FORMAT,
            "shard": SHARD,
            "source": pairs.fingerprint,
            "model": encoder.fingerprint,
        } | ({"tokens": True} if tokens else {})

    def run(self, path: Path, progress: Progress) -> None:
        done = self._resume()
        total = len(self.pairs)
        progress(min(done * SHARD, total), total)
        made = pictures(
            self.pairs,
            done * SHARD,
            self.encoder.prepare,
            beside_encoding=not isinstance(self.encoder, StarterEmbeddings),
        )
        # The stop is an event, because an exception may be lost while processes are forked.
        with stop_requested() as stop, made as stream:

            def tell(count: int) -> None:
                progress(count, total)
                if stop.is_set():
                    raise KeyboardInterrupt(
                        f"Stopped after {count} of {total} images. Repeat the command to go on; to give up, "
                        f"delete {self.part}."
                    )

            for start in range(done * SHARD, total, SHARD):
                self._shard(stream, range(start, min(start + SHARD, total)), tell)
        self._finish()
        replace_folder(self.gallery, path)

    def _resume(self) -> int:
        """Return how many shards are done, after clearing away what belongs to another build."""
        plan = self.part / "plan.json"
        if not (self.gallery.is_dir() and plan.is_file() and plan.read_text() == json.dumps(self.plan)):
            for folder in (self.shards, self.gallery):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
            with whole_file(plan) as file:
                file.write_text(json.dumps(self.plan))
        return len(list(self.shards.glob("*.npz")))

    def _shard(self, stream: Iterator[Picture], rows: range, tell: Callable[[int], None]) -> None:
        records: list[dict[str, Any]] = []

        def images() -> Iterator[np.ndarray]:
            for row, picture in zip(rows, islice(stream, len(rows)), strict=True):
                records.append(self._record(row, picture))
                tell(row + 1)
                if picture.pixels is not None:
                    yield picture.pixels

        arrays: dict[str, Any] = {}
        if self.tokens:
            encoder = cast("DualEncoder", self.encoder)
            arrays["images"], tokens = encoder.encode_images(images(), tokens=True)
            arrays["tokens"] = tokens.astype(np.float16)
        else:
            arrays["images"] = self.encoder.encode_images(images())
        texts = [caption for record in records for caption in record.get("captions", ())]
        with whole_file(self.shards / f"{rows.start // SHARD:05}.npz") as file, file.open("wb") as out:
            np.savez(
                out,
                records=np.frombuffer(json.dumps(records).encode(), dtype=np.uint8),
                texts=self.encoder.encode_texts(texts),
                **arrays,
            )

    def _record(self, row: int, picture: Picture) -> dict[str, Any]:
        image_id = self.pairs.image_ids[row]
        if picture.pixels is None:
            return {"name": image_id, "reason": picture.reason}
        thumbnail = f"thumbnails/{row // 1000:03}/{row:06}.webp"  # never from an id: ids are anybody's text
        (self.gallery / thumbnail).parent.mkdir(parents=True, exist_ok=True)
        (self.gallery / thumbnail).write_bytes(picture.thumbnail)
        return {
            "image_id": image_id,
            "captions": self.pairs.captions[row],
            "thumbnail": thumbnail,
            "width": picture.width,
            "height": picture.height,
            "labels": self.pairs.labels[row] if self.pairs.labels is not None else None,
        }

    def _finish(self) -> None:
        files = sorted(self.shards.glob("*.npz"))
        shards = [_read(file) for file in files]
        records = [record for shard in shards for record in json.loads(shard["records"].tobytes())]
        items = [record for record in records if "image_id" in record]
        skipped = self.pairs.skipped + [Skipped(**record) for record in records if "reason" in record]
        if not items:
            first = f" The first: {skipped[0].name}: {skipped[0].reason}" if skipped else ""
            raise GalleryError(f"{self.pairs.source}: none of its {len(skipped)} images can be used.{first}")
        images = np.concatenate([shard["images"] for shard in shards])
        texts = np.concatenate([shard["texts"] for shard in shards])
        np.save(self.gallery / IMAGES, images, allow_pickle=False)
        np.save(self.gallery / TEXTS, texts, allow_pickle=False)
        if self.tokens:
            _join_tokens(files, self.gallery / TOKENS, len(images))
        arrays = [IMAGES, TEXTS, *[TOKENS] * self.tokens]
        pq.write_table(pa.Table.from_pylist(items, schema=_SCHEMA), self.gallery / ITEMS)
        Manifest(
            source=self.pairs.source,
            source_fingerprint=self.pairs.fingerprint,
            model=self.encoder.spec,
            model_fingerprint=self.encoder.fingerprint,
            dim=images.shape[1],
            images=len(images),
            captions=len(texts),
            created=datetime.now(UTC).replace(microsecond=0),
            skipped=skipped,
            files=stamps(self.gallery, [*arrays, ITEMS, *(item["thumbnail"] for item in items)]),
        ).write(self.gallery)


def _read(shard: Path) -> dict[str, np.ndarray]:
    with np.load(shard, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("records", "images", "texts")}


def _join_tokens(shards: list[Path], path: Path, n: int) -> None:
    """Write the tokens of all shards into one array, a shard at a time: together they may exceed memory."""
    with path.open("wb") as file:
        for shard in shards:
            with np.load(shard, allow_pickle=False) as arrays:
                tokens = arrays["tokens"]
            if not len(tokens):
                continue  # none of its pictures could be decoded
            if file.tell() == 0:
                header = {"descr": npy.dtype_to_descr(tokens.dtype), "fortran_order": False}
                npy.write_array_header_1_0(file, header | {"shape": (n, *tokens.shape[1:])})
            file.write(tokens.data)


def _need(pairs: "PairSet", encoder: "DualEncoder", tokens: bool) -> int:
    """Bytes a build takes at its peak, roughly: arrays twice (shards, whole), 12 kB a thumbnail."""
    captions = sum(map(len, pairs.captions))
    arrays = 4 * encoder.dim * (len(pairs) + captions)
    if tokens:
        _, places = encoder.encode_images([Image.new("RGB", (8, 8))], tokens=True)
        arrays += 2 * places.size * len(pairs)
    return 2 * arrays + 12_000 * len(pairs) + 200 * captions


def _not_written(error: OSError, path: Path, part: Path, need: int) -> str:
    why = f"The gallery {path} cannot be written ({error.strerror or error})."
    if error.errno in (EACCES, EPERM, EROFS):
        return f"{why} Choose a folder that you may write to."
    free = shutil.disk_usage(next(folder for folder in part.parents if folder.exists())).free
    return (
        f"{why} It takes about {need / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free. Make room and repeat "
        "the command (it goes on where it was), or choose another folder. What was there before is whole; "
        f"to give up, delete {part}."
    )
