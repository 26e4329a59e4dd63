"""A gallery of any size from a small one, for benchmarks: what is searched is larger, nothing is encoded.

Each picture mixes the embeddings of two random pictures of the small gallery with random weights, and its
captions, which are those of the first, mix the embeddings of their captions in the same way. Thumbnails are
links to those of the first, but every picture has a file of its own.
"""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from itr_core import Gallery
from itr_core.gallery.manifest import IMAGES, ITEMS, TEXTS, stamps

BLOCK = 20_000


def enlarge(small: Gallery, folder: Path, pictures: int) -> None:
    """Write a gallery of that many pictures into a new folder; each has the captions of one of `small`."""
    rng = np.random.default_rng(0)
    one, other = rng.integers(len(small), size=(2, pictures))
    weights = rng.random((pictures, 1), dtype=np.float32)
    counts = np.bincount(small.image_of_caption, minlength=len(small))
    starts = np.cumsum(counts) - counts
    of_caption = np.repeat(np.arange(pictures), counts[one])
    within = np.arange(len(of_caption)) - np.repeat(np.cumsum(counts[one]) - counts[one], counts[one])
    caption = starts[one][of_caption] + within
    of_other = starts[other][of_caption] + within % np.maximum(counts[other][of_caption], 1)
    folder.mkdir(parents=True)
    _mix(folder / IMAGES, np.asarray(small.image_embeddings), one, other, weights)
    _mix(folder / TEXTS, np.asarray(small.text_embeddings), caption, of_other, weights[of_caption])
    table = pq.read_table(small.path / ITEMS)
    thumbnails = [f"thumbnails/{row // 1000:03}/{row:06}.webp" for row in range(pictures)]
    links = {}
    for row, name in enumerate(thumbnails):
        target = table["thumbnail"][int(one[row])].as_py()
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).hardlink_to(small.path / target)
        links[name] = small.manifest.files[target]
    items = table.take(one)
    for name, values in (("image_id", [f"{row:07}" for row in range(pictures)]), ("thumbnail", thumbnails)):
        items = items.set_column(items.column_names.index(name), name, pa.array(values))
    pq.write_table(items, folder / ITEMS)
    small.manifest.model_copy(
        update={
            "images": pictures,
            "captions": len(of_caption),
            "created": datetime.now(UTC).replace(microsecond=0),
            "files": stamps(folder, [IMAGES, TEXTS, ITEMS]) | links,
        }
    ).write(folder)


def _mix(file: Path, embeddings: np.ndarray, one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> None:
    """Write unit vectors (n, d), each of two rows and a weight."""
    out = np.lib.format.open_memmap(file, "w+", np.float32, (len(one), embeddings.shape[1]))
    for start in range(0, len(one), BLOCK):
        rows = slice(start, start + BLOCK)
        mixed = weights[rows] * embeddings[one[rows]] + (1 - weights[rows]) * embeddings[other[rows]]
        out[rows] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    out.flush()
