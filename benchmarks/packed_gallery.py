"""Pack the demo gallery as `itr_core.gallery.shipped` reads it, in fewer bytes than a build has."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from itr_core import PairSet
from itr_core.encoders.encoder import Encoder
from itr_core.gallery import Gallery, shipped
from itr_core.gallery.manifest import IMAGES, TEXTS, THUMBNAILS, stamps

BITS = 12
"""Bits of an embedding's values after the leading one that are kept; the others are 0 and compress well."""


def pack(pairs: PairSet, encoder: Encoder, out: Path = shipped.FOLDER) -> None:
    """Build a gallery and write it as two archives.

    Args:
        pairs: images that are no larger than a thumbnail, so that a thumbnail has the size of its image.
        encoder: the model.
        out: the folder of the archives.
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
        archive(gallery.path, out)


def archive(gallery: Path, out: Path) -> None:
    """Write a gallery as two archives, and delete its thumbnails."""
    _zip(out / shipped.THUMBNAILS, gallery, THUMBNAILS)
    shutil.rmtree(gallery / THUMBNAILS)
    _zip(out / shipped.GALLERY, gallery, ".")


def _zip(file: Path, root: Path, part: str) -> None:
    shutil.make_archive(str(file.with_suffix("")), "zip", root, part)


def rounded(vectors: np.ndarray) -> np.ndarray:
    """Round float32 values to `BITS` bits after the leading one."""
    dropped = 23 - BITS
    bits = vectors.view(np.uint32) + np.uint32(1 << (dropped - 1))
    return (bits >> dropped << dropped).view(np.float32)
