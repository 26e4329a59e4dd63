"""A gallery: a source of pairs embedded by one model, as a folder on disk that is ready to search."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from itr_core.errors import GalleryError, QueryError
from itr_core.gallery.manifest import IMAGES, ITEMS, TEXTS, TOKENS, Manifest
from itr_core.system.progress import Progress

if TYPE_CHECKING:
    from itr_core.encoders.dual_encoder import DualEncoder
    from itr_core.pairs import PairSet


class Gallery:
    """n images and their m captions, embedded in d dimensions. Everything is read-only.

    path: the folder. manifest: where it came from.
    items: one row per image: image_id, captions (list), thumbnail (relative path), width, height, labels.
    image_embeddings, text_embeddings: float32 (n, d) and (m, d), unit rows, mapped from disk.
    image_tokens: float16 (n, P, d), unit vectors of P places of each image, mapped from disk; None without.
    image_of_caption: int64 (m,), the row of each caption's image; captions lie image by image.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self.items = _read_items(path / ITEMS)
        self.image_embeddings = _read_array(path / IMAGES, (manifest.images, manifest.dim))
        self.text_embeddings = _read_array(path / TEXTS, (manifest.captions, manifest.dim))
        self.image_tokens: np.ndarray | None = None
        if TOKENS in manifest.files:
            self.image_tokens = _read_array(path / TOKENS, (manifest.images, None, manifest.dim), "float16")
        counts = self.items["captions"].map(len).to_numpy(dtype=np.int64)
        self.image_of_caption = np.repeat(np.arange(len(counts)), counts)
        if (len(counts), counts.sum()) != (manifest.images, manifest.captions):
            raise GalleryError(f"{path / ITEMS}: its counts differ from the manifest's. {self._remedy}")
        if foreign := set(self.items["thumbnail"]) - manifest.files.keys():
            raise GalleryError(f"{path / ITEMS} names {foreign.pop()!r}, no file of its own. {self._remedy}")

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = True) -> "Gallery":
        """Open a gallery folder and compare its files with the manifest.

        verify: hash every file (0.1 s for 2,000 images); False compares only names and sizes.
        Raises GalleryError, with the remedy, if it is missing, damaged or of another format.
        """
        folder = Path(path)
        manifest = Manifest.read(folder)
        manifest.verify(folder, contents=verify)
        return cls(folder, manifest)

    @classmethod
    def build(
        cls,
        pairs: "PairSet",
        encoder: "DualEncoder",
        path: str | Path,
        *,
        tokens: bool = False,
        progress: Progress | None = None,
    ) -> "Gallery":
        """Embed `pairs` with `encoder` into the folder `path` and open it.

        tokens: keep the places of each image too, 2 P d bytes an image (19 kB with picturebook-vit, 50 kB
        with ViT-B-32); `Searcher` can re-rank by them. ModelError where the image tower has none.

        The work happens beside `path`, which changes only at the very end. An interrupted build of the same
        pairs with the same model goes on where it was. Images that cannot be decoded are left out and named,
        with the reason, in `manifest.skipped`, as are those the source already left out.

        Ctrl-C ends it after the image in hand; the text of the KeyboardInterrupt says how to go on. Raises
        GalleryError if `path` is a folder of something else, no image can be decoded, another build is
        writing there, or the disk is full.
        """
        from itr_core.gallery.build import build  # torch, and only when something is built

        build(pairs, encoder, Path(path), progress or (lambda done, total: None), tokens=tokens)
        return cls.open(path, verify=False)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        about = self.manifest
        return f"Gallery({str(self.path)!r}, {about.images} images, {about.captions} captions, {about.model})"

    def row(self, item_id: str) -> int:
        """Return the row of an image; raise QueryError for an id that is not here."""
        try:
            return self._rows[item_id]
        except KeyError:
            raise QueryError(f"There is no image {item_id[:80]!r} in this gallery.") from None

    def thumbnail(self, item_id: str) -> Path:
        """Return the path of an image's thumbnail (WebP)."""
        return self.path / str(self.items["thumbnail"].iat[self.row(item_id)])

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {item_id: row for row, item_id in enumerate(self.items["image_id"])}

    @property
    def _remedy(self) -> str:
        return f"Build it again: {self.manifest.rebuild(self.path)}"


def _read_items(path: Path) -> pd.DataFrame:
    try:
        items = pd.read_parquet(path)
        return items.assign(captions=items["captions"].map(list))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GalleryError(f"{path} cannot be read ({error}). Build the gallery again.") from error


def _read_array(path: Path, shape: tuple[int | None, ...], dtype: str = "float32") -> np.ndarray:
    """Map an array from disk; None in `shape` stands for any length."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise GalleryError(f"{path} cannot be read ({error}). Build the gallery again.") from error
    fits = len(array.shape) == len(shape) and all(
        want in (None, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        raise GalleryError(
            f"{path} holds {array.dtype} {array.shape}, the manifest says {dtype} {shape}. "
            "Build the gallery again."
        )
    return array
