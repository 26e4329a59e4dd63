"""Parquet files as data sets of the hub have them."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image

TEXTS = List(Value("string"))
NOISE = np.random.default_rng(0)


def picture() -> bytes:
    """Return a picture of noise of about 12 kB: smaller ones would be read together with their captions."""
    buffer = io.BytesIO()
    Image.fromarray(NOISE.integers(0, 256, (64, 64, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(columns: Mapping[str, Any], features: Mapping[str, Any], *, rows: int = 4) -> bytes:
    """Return a parquet file as `datasets` writes it, with row groups of `rows` rows."""
    table = pa.table(dict(columns), schema=Features(features).arrow_schema)
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=rows)
    return out.getvalue()


def part(first: int, count: int, **more: Any) -> bytes:
    """Return a file of `count` pictures with ids, paths, two captions each, and a column nobody asks for."""
    names = [f"{number:04}" for number in range(first, first + count)]
    pictures = [{"bytes": picture(), "path": f"{name}.png"} for name in names]
    columns = {
        "image": pictures,
        "caption": [[f"noise {name}", "grey"] for name in names],
        "image_id": names,
        "embedding": [NOISE.random(3000) for _ in names],  # so that no picture is near the end of a file
    }
    features = {
        "image": ImageFeature(), "caption": TEXTS, "image_id": Value("string"),
        "embedding": List(Value("float32")),
    }  # fmt: skip
    return parquet(columns, features, **more)


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
