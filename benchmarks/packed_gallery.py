"""Pack the demo gallery as `itr_core.gallery.shipped` reads it: in half the size that a build has."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from itr_core import PairSet
from itr_core.encoders.encoder import Encoder
from itr_core.gallery import Gallery
from itr_core.gallery.manifest import IMAGES, TEXTS, stamps
from itr_core.gallery.shipped import ARCHIVE

BITS = 12
"""Bits of an embedding's values after the leading one that are kept; the others are 0 and compress well."""


def pack(pairs: PairSet, encoder: Encoder, archive: Path = ARCHIVE) -> None:
    """Build a gallery and write it as an archive.

    Args:
        pairs: images that are no larger than a thumbnail, so that a thumbnail has the size of its image.
        encoder: the model.
        archive: the zip file.
    """
    with TemporaryDirectory() as folder:
        gallery = Gallery.build(pairs, encoder, Path(folder) / "gallery")
        for name in (IMAGES, TEXTS):
            np.save(gallery.path / name, rounded(np.load(gallery.path / name)), allow_pickle=False)
        for row, name in enumerate(gallery.column("thumbnail")):
            pairs.image(row).save(gallery.path / name, "WEBP", quality=80, method=6)  # slow, and small
        manifest = gallery.manifest
        files = stamps(gallery.path, manifest.files)
        manifest.model_copy(update={"files": files}).write(gallery.path)
        made = shutil.make_archive(str(Path(folder) / "packed"), "zip", gallery.path)
        shutil.move(made, archive)


def rounded(vectors: np.ndarray) -> np.ndarray:
    """Round float32 values to `BITS` bits after the leading one."""
    dropped = 23 - BITS
    bits = vectors.view(np.uint32) + np.uint32(1 << (dropped - 1))
    return (bits >> dropped << dropped).view(np.float32)
