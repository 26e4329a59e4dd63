"""Photos on disk for benchmarks: drawn pictures with the grain and the file size of a photo."""

from pathlib import Path

import numpy as np
from PIL import Image

from itr_core import load_pairs

SIZE = (640, 480)
GRAIN = 12
"""Standard deviation of the grain, of 255 levels; at quality 90 a file has about 87 kB."""


def write_photos(folder: Path, count: int, distinct: int = 256) -> None:
    """Write JPEG files of 640 x 480 pixels; of those beyond `distinct`, each is a link to an earlier file."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    pairs = load_pairs(f"picturebook:train@{min(count, distinct)}")
    for row in range(count):
        file = folder / f"{row:06}.jpg"
        if row >= len(pairs):
            file.hardlink_to(folder / f"{row % len(pairs):06}.jpg")
            continue
        picture = np.asarray(pairs.image(row).convert("RGB").resize(SIZE, Image.Resampling.BICUBIC))
        grain = Image.fromarray(rng.normal(0, GRAIN, (SIZE[1] // 2, SIZE[0] // 2)).astype(np.float32))
        noisy = picture + np.asarray(grain.resize(SIZE, Image.Resampling.BICUBIC))[..., None]
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, quality=90)
