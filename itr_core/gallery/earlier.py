"""What a new build of a gallery takes from the gallery that it replaces."""

import os
import shutil
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from itr_core.encoders.encoder import Encoder, Floats
from itr_core.errors import GalleryError
from itr_core.gallery.gallery import Gallery
from itr_core.gallery.manifest import Stamp
from itr_core.gallery.source_table import read_source_files


class EarlierImage(NamedTuple):
    """An image of the earlier gallery; the fields are those of `Gallery`."""

    embedding: Floats
    tokens: np.ndarray | None
    thumbnail: str
    width: int
    height: int


class EarlierGallery:
    """Images and captions of a gallery, looked up by the digest of the image file and by the text.

    Args:
        gallery: Without the table of its source files, no image is known.
        encoder: The model of the new build.
        tokens: The new build stores patch tokens.

    Raises:
        GalleryError: The gallery was built by another model, or has no tokens although they are needed.
    """

    def __init__(self, gallery: Gallery, encoder: Encoder, *, tokens: bool) -> None:
        if encoder.fingerprint != gallery.manifest.model_fingerprint:
            raise GalleryError(
                f"{gallery.path} was built by other weights than those of {encoder.spec}. Rebuild it: "
                f"{gallery.manifest.rebuild_command(gallery.path, encoder.spec)}"
            )
        if tokens and gallery.image_tokens is None:
            raise GalleryError(
                f"{gallery.path} has no patch tokens. Rebuild it: "
                f"{gallery.manifest.rebuild_command(gallery.path, tokens=True)}"
            )
        self.gallery = gallery
        digests, texts = contents(gallery)
        self._rows = {digest: row for row, digest in enumerate(digests) if digest}
        self._captions = {text: index for index, text in enumerate(texts)}
        self._thumbnails = gallery.items["thumbnail"].tolist()
        self._sizes = list(
            zip(gallery.items["width"].tolist(), gallery.items["height"].tolist(), strict=True)
        )

    def image(self, digest: str) -> EarlierImage | None:
        """Return the image of a file; None if it is new."""
        if (row := self._rows.get(digest)) is None:
            return None
        tokens = self.gallery.image_tokens
        return EarlierImage(
            self.gallery.image_embeddings[row],
            None if tokens is None else tokens[row],
            self._thumbnails[row],
            *self._sizes[row],
        )

    def text(self, text: str) -> Floats | None:
        """Return the embedding of a caption; None if it is new."""
        index = self._captions.get(text)
        return None if index is None else self.gallery.text_embeddings[index]

    def stamps_of(self, thumbnails: Iterable[str]) -> dict[str, Stamp]:
        """Return the stamps of those thumbnails that the gallery has, by name."""
        files = self.gallery.manifest.files
        return {name: files[name] for name in thumbnails if name in files}

    @cached_property
    def next_thumbnail(self) -> int:
        """The first number that no thumbnail has.

        A name is never given to another image: a page that was opened before an update shows no wrong one.
        """
        names = (Path(name).stem for name in self._thumbnails)
        return 1 + max((int(name) for name in names if name.isdecimal()), default=-1)

    def link_thumbnail(self, name: str, folder: Path) -> None:
        """Give a thumbnail a second name in the folder of another gallery, or copy it."""
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # of a build that was stopped
        try:
            os.link(self.gallery.path / name, target)
        except OSError:  # the file system has no links
            shutil.copyfile(self.gallery.path / name, target)


def contents(gallery: Gallery) -> tuple[list[str], list[str]]:
    """Return the digest of each image file of a gallery, "" where it is not known, and all captions."""
    files = read_source_files(gallery.path)
    digests = [files[each].digest if each in files else "" for each in gallery.items["image_id"]]
    return digests, [text for captions in gallery.items["captions"] for text in captions]
