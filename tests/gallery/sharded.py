"""A source whose galleries are written in shards, for tests with and without a Ray cluster."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from itr_core.encoders.dual_encoder import load_encoder
from itr_core.gallery import Gallery
from itr_core.gallery.image_workers import prepared_in_threads
from itr_core.gallery.ray_engine import RayEngine
from itr_core.gallery.unit_encoder import UnitEncoder
from itr_core.pairs import PairSet, load_pairs

MODEL = "picturebook-vit/none"
SHARD = 64
SHARDS = 4
UNUSABLE = 2
"""The shard without a usable picture."""


def paint(folder: Path, side: int) -> PairSet:
    """Create pictures for all shards, the last of which is not full; the n-th has n % 3 captions."""
    colours = np.random.default_rng(0).integers(0, 256, (SHARD * SHARDS - 10, 3)).tolist()
    with (folder / "metadata.jsonl").open("w") as out:
        for n, colour in enumerate(colours):
            file = folder / f"{n:04}.png"
            Image.new("RGB", (side, side), tuple(colour)).save(file)
            if n // SHARD == UNUSABLE:
                file.write_bytes(file.read_bytes()[:-30] + bytes(30))  # found when it is decoded
            captions = [f"picture {n} in colour {colour}", f"number {n}"][: n % 3]
            out.write(json.dumps({"file_name": file.name, "captions": captions}) + "\n")
    return load_pairs(f"folder:{folder}")


class HereEngine(RayEngine):
    """Writes the shards in this process, in the place of a cluster."""

    def _written(self, missing: list[int], pairs: PairSet, work: Any) -> Iterator[int]:
        encoder = load_encoder(work.spec)
        units = UnitEncoder(pairs, encoder, None, work.shards.gallery, work.tokens)
        for shard in missing:
            rows = work.shards.rows(shard)
            images = prepared_in_threads(pairs, rows, encoder.prepare, threads=1)
            work.shards.write(shard, units, images)
            yield shard


def assert_same_content(gallery: Gallery, expected: Gallery) -> None:
    """Compare everything but the names and stamps of the arrays, bit for bit."""
    for name in ("image_embeddings", "text_embeddings", "image_tokens"):
        np.testing.assert_array_equal(np.asarray(getattr(gallery, name)), getattr(expected, name))
    thumbnails = sorted(path.relative_to(expected.path) for path in expected.path.rglob("*.webp"))
    assert thumbnails == sorted(path.relative_to(gallery.path) for path in gallery.path.rglob("*.webp"))
    for file in (Path("items.parquet"), Path("sources.parquet"), *thumbnails):
        assert (gallery.path / file).read_bytes() == (expected.path / file).read_bytes(), file
    kept = {"source", "source_fingerprint", "model", "model_fingerprint", "images", "captions", "skipped"}
    assert gallery.manifest.model_dump(include=kept) == expected.manifest.model_dump(include=kept)
