"""A gallery: a source of pairs embedded by one model, as a folder on disk that is ready to search."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from pyarrow import Table, default_memory_pool
from pyarrow.parquet import ParquetFile

from itr_core.errors import GalleryError, QueryError
from itr_core.gallery.manifest import IMAGES, ITEMS, TEXTS, TOKENS, Manifest
from itr_core.system.progress import Progress
from itr_core.system.sharded_rows import ShardedRows

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from itr_core.encoders.encoder import Encoder
    from itr_core.gallery.ray_engine import RayEngine
    from itr_core.gallery.thumbnail_store import ThumbnailStore
    from itr_core.pairs import PairSet


class Gallery:
    """n images and their m captions, embedded in d dimensions, read-only.

    Attributes:
        path: the folder.
        manifest: its source, model, counts and files.
        items: one row per image: image_id, captions (list of str), thumbnail (relative path), width, height,
            labels.
        image_embeddings: (n, d) float32 of unit norm, mapped from disk. This and the other arrays are
            `itr_core.system.sharded_rows.ShardedRows` if the gallery is in shards.
        text_embeddings: (m, d) float32 of unit norm, mapped from disk; captions in the order of the images.
        image_tokens: (n, P, d) float16 of unit norm, the P patch tokens of each image, mapped from disk; None
            if the gallery was built without tokens.
        image_of_caption: (m,) int64, the row of each caption's image.
        store: where the thumbnails are; None if they are in the folder.
    """

    def __init__(
        self, path: Path, manifest: Manifest, *, verify: bool = False, store: "ThumbnailStore | None" = None
    ) -> None:
        self.path = path
        self.store = store
        self.manifest = manifest
        self._verify = verify
        try:
            self._table, counts = _read_items(path / ITEMS)
            self.image_embeddings = self._array(IMAGES, (manifest.images, manifest.dim))
            self.text_embeddings = self._array(TEXTS, (manifest.captions, manifest.dim))
            self.image_tokens: np.ndarray | None = None
            if manifest.has_tokens:
                self.image_tokens = self._array(TOKENS, (manifest.images, None, None), "float16")
        except GalleryError as error:
            raise GalleryError(f"{error} {self._remedy}") from error
        self.image_of_caption = np.repeat(np.arange(len(counts)), counts)
        if (len(counts), counts.sum()) != (manifest.images, manifest.captions):
            raise GalleryError(f"{path / ITEMS}: its counts differ from the manifest. {self._remedy}")
        if foreign := set(self.column("thumbnail")) - manifest.files.keys():
            raise GalleryError(
                f"{path / ITEMS} names {foreign.pop()!r}, which the manifest does not list. {self._remedy}"
            )

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        verify: bool = True,
        thumbnails: bool = True,
        thumbnails_at: str | None = None,
    ) -> "Gallery":
        """Open a gallery folder and compare its files with the manifest.

        Args:
            path: the folder.
            verify: hash every file, which takes 0.1 s for 2,000 images; otherwise compare only names and
                sizes. A file of a shard is hashed when it is first read.
            thumbnails: compare the thumbnails, too; what does not show them need not.
            thumbnails_at: where the files of the folder `thumbnails` are, if they were moved: the prefix of
                a `ThumbnailStore`, such as https://HOST/PATH. They are compared when they are read.

        Raises:
            GalleryError: The gallery is missing, damaged or has another format, or `thumbnails_at` cannot be
                used. The message names a remedy.
        """
        folder = Path(os.path.expanduser(path))
        manifest = Manifest.read(folder)
        manifest.verify(folder, contents=verify, thumbnails=thumbnails and thumbnails_at is None)
        store = None
        if thumbnails_at is not None:
            from itr_core.gallery.thumbnail_store import ThumbnailStore  # imports httpx

            store = ThumbnailStore(thumbnails_at, manifest.files)
        return cls(folder, manifest, verify=verify, store=store)

    @classmethod
    def build(
        cls,
        pairs: "PairSet",
        encoder: "Encoder",
        path: str | Path,
        *,
        tokens: bool = False,
        force: bool = False,
        earlier: "Gallery | None" = None,
        engine: "RayEngine | None" = None,
        progress: Progress | None = None,
    ) -> "Gallery":
        """Embed all images and captions of a source, write the gallery, and open it.

        The gallery is built in a temporary folder next to `path` and moved to `path` when it is complete, so
        an existing gallery stays usable until then. An interrupted build of the same pairs with the same
        model resumes where it stopped. Images that cannot be decoded are skipped; `manifest.skipped` lists
        them with the reason, together with those that the source skipped.

        Args:
            pairs: the source.
            encoder: the model.
            path: the gallery's folder.
            tokens: also store the patch tokens of each image, 2 P d bytes per image (19 kB with
                picturebook-vit, 50 kB with ViT-B-32); `Searcher` uses them for re-ranking.
            force: replace the gallery at `path` even if a newer version of Pairscope built it.
            earlier: a gallery of the same model. Images and captions that it has are not encoded again: an
                image is the same if its file has the same content.
            engine: encodes on the machines of a Ray cluster and writes the gallery in shards; by default,
                this process encodes. Not together with `earlier`.
            progress: called with the number of images done and in total.

        Raises:
            GalleryError: `path` is no gallery and not empty, or a gallery of a newer version; `earlier` has
                another model, or no tokens although `tokens` is set; `engine` comes with `earlier`, is not
                installed or fails; no image can be decoded; another build is writing to `path`; or the
                folder cannot be written.
            ModelError: `tokens` is set and the image tower has none.
            KeyboardInterrupt: Ctrl-C was pressed. The current image is finished first, and the message says
                how to resume.
        """
        from itr_core.gallery.build import build  # imports torch, which opening does not need
        from itr_core.gallery.earlier import EarlierGallery

        if engine and earlier:
            raise GalleryError(
                "A build on a Ray cluster encodes everything anew. Leave out `engine`, or `earlier`."
            )
        build(
            pairs,
            encoder,
            Path(os.path.expanduser(path)),
            progress or (lambda done, total: None),
            tokens=tokens,
            force=force,
            earlier=EarlierGallery(earlier, encoder, tokens=tokens) if earlier else None,
            engine=engine,
        )
        return cls.open(path, verify=False)

    @cached_property
    def items(self) -> "pd.DataFrame":
        """See the attributes of the class; pandas is imported when this is first read."""
        items = self._table.to_pandas()
        return items.assign(captions=items["captions"].map(list))

    def column(self, name: str) -> list[Any]:
        """Return a column of `items` without pandas, which takes a third of the start of a search."""
        values: list[Any] = self._table[name].to_pylist()
        return values

    def __len__(self) -> int:
        return self.manifest.images

    def __repr__(self) -> str:
        about = self.manifest
        return f"Gallery({str(self.path)!r}, {about.images} images, {about.captions} captions, {about.model})"

    def row(self, item_id: str) -> int:
        """Return the row of an image; raise QueryError if the gallery has no such image."""
        try:
            return self._rows[item_id]
        except KeyError:
            raise QueryError(f"There is no image {item_id[:80]!r} in this gallery.") from None

    def thumbnail(self, item_id: str) -> Path:
        """Return the path of an image's thumbnail (WebP); raise QueryError if there is no such image.

        There is no file at this path if the thumbnails are elsewhere: see `decoded_thumbnail`.
        """
        return self.path / str(self.items["thumbnail"].iat[self.row(item_id)])

    def decoded_thumbnail(self, row: int) -> "Image.Image":
        """Return the thumbnail of the image in a row; raise ImageError if it is damaged or away."""
        from itr_core.pairs.decoding import decode_image  # not needed by a search

        name = str(self.items["thumbnail"].iat[row])
        return decode_image(self.store.read(name) if self.store else self.path / name)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {item_id: row for row, item_id in enumerate(self.column("image_id"))}

    def _array(self, name: str, shape: tuple[int | None, ...], dtype: str = "float32") -> np.ndarray:
        """Map an array from disk; None in `shape` accepts any length."""
        files = [self.path / file for file in self.manifest.files_of(name)]
        counts = [size.captions if name == TEXTS else size.images for size in self.manifest.shards]
        array: np.ndarray
        try:
            if counts:
                array = cast(np.ndarray, ShardedRows(files, counts, self._check_shard))
            else:
                array = np.load(files[0], mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise GalleryError(f"{files[0]} cannot be read ({error}).") from error
        fits = len(array.shape) == len(shape) and all(
            want in (None, have) for want, have in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype != dtype:
            raise GalleryError(
                f"{files[0]} contains {array.dtype} {array.shape}; the manifest requires {dtype} {shape}."
            )
        return array

    def _check_shard(self, file: Path) -> None:
        if self._verify:
            self.manifest.verify_shard(file, self.path)

    @property
    def _remedy(self) -> str:
        return f"Rebuild it: {self.manifest.rebuild_command(self.path)}"


def _read_items(path: Path) -> tuple[Table, np.ndarray]:
    """Return the items, and the number of captions of each."""
    try:
        table = ParquetFile(path).read()
        default_memory_pool().release_unused()  # what only the reading needed
        counts = [np.diff(np.from_dlpack(lists.offsets)) for lists in table["captions"].chunks]
        *never_null, _ = (table[name] for name in ("image_id", "captions", "thumbnail", "labels"))
        if any(column.null_count for column in never_null):
            raise ValueError("values are missing")
        return table, np.concatenate([np.zeros(0, np.int64), *counts])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GalleryError(f"{path} cannot be read ({error}).") from error
