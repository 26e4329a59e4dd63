"""Encode a few images of a source with their captions, as every build does it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from itr_core.encoders.streams import several_batches
from itr_core.gallery.earlier import EarlierGallery, EarlierImage
from itr_core.gallery.image_workers import PreparedImage, UnusableImage
from itr_core.gallery.manifest import THUMBNAILS, Stamp

if TYPE_CHECKING:
    from itr_core.encoders.encoder import Encoder
    from itr_core.pairs import PairSet

UNIT = 64
"""Images that are encoded together. No batch crosses a unit, so every build writes the same bytes."""


class EncodedUnit(NamedTuple):
    """A unit of images with their captions."""

    records: list[dict[str, Any]]
    """Rows of the items, and {"name", "reason"} of images that cannot be used."""
    arrays: dict[str, np.ndarray]
    """images (n, d), texts (m, d) and, with tokens, tokens (n, P, d) of the usable images."""
    thumbnails: dict[str, Stamp]
    """Stamps of new thumbnails, by name."""


@dataclass(frozen=True)
class UnitEncoder:
    """Encodes units of a source and writes thumbnails into the folder of a gallery.

    Attributes:
        pairs: the source.
        encoder: the model.
        earlier: a gallery whose embeddings and thumbnails are used again.
        gallery: the folder.
        tokens: also encode patch tokens.
    """

    pairs: "PairSet"
    encoder: "Encoder"
    earlier: EarlierGallery | None
    gallery: Path
    tokens: bool

    def encode(
        self,
        rows: range,
        images: Iterator[PreparedImage | UnusableImage | EarlierImage],
        report: Callable[[int], None] = lambda done: None,
    ) -> EncodedUnit:
        """Encode one unit.

        Args:
            rows: its rows of the source.
            images: the images of these rows, in order.
            report: called with the row after each image.
        """
        records: list[dict[str, Any]] = []
        known: list[np.ndarray | None] = []
        known_tokens: list[np.ndarray | None] = []
        thumbnails: dict[str, Stamp] = {}

        def unknown() -> Iterator[np.ndarray]:
            for row in rows:
                image = next(images)
                records.append(self._record(row, image))
                if isinstance(image, PreparedImage):
                    stamp = Stamp(len(image.thumbnail), sha256(image.thumbnail).hexdigest())
                    thumbnails[records[-1]["thumbnail"]] = stamp
                report(row + 1)
                if isinstance(image, UnusableImage):
                    continue
                if isinstance(image, EarlierImage):
                    known.append(image.embedding)
                    known_tokens.append(image.tokens)
                    continue
                known.append(None)
                known_tokens.append(None)
                yield image.pixels

        arrays: dict[str, np.ndarray] = {}
        with several_batches():
            if self.tokens:
                encoded, tokens = self.encoder.encode_images(unknown(), tokens=True)
                arrays["tokens"] = _in_order(known_tokens, tokens.astype(np.float16))
            else:
                encoded = self.encoder.encode_images(unknown())
            captions = [text for each in records for text in each.get("captions", ())]
            arrays["texts"] = self._encode_texts(captions)
        arrays["images"] = _in_order(known, encoded)
        return EncodedUnit(records, arrays, thumbnails)

    def _encode_texts(self, texts: list[str]) -> np.ndarray:
        known = [self.earlier.text(text) if self.earlier else None for text in texts]
        unknown = [text for text, vector in zip(texts, known, strict=True) if vector is None]
        return _in_order(known, self.encoder.encode_texts(unknown))

    def _record(self, row: int, image: PreparedImage | UnusableImage | EarlierImage) -> dict[str, Any]:
        """Write the thumbnail of an image, and return its row of the items or why it is skipped."""
        image_id = self.pairs.image_ids[row]
        if isinstance(image, UnusableImage):
            return {"name": image_id, "reason": image.reason}
        return {
            "image_id": image_id,
            "captions": self.pairs.captions[row],
            "thumbnail": self._thumbnail(row, image),
            "width": image.width,
            "height": image.height,
            "labels": self.pairs.labels[row] if self.pairs.labels is not None else None,
        }

    def _thumbnail(self, row: int, image: PreparedImage | EarlierImage) -> str:
        if isinstance(image, EarlierImage):
            assert self.earlier
            self.earlier.link_thumbnail(image.thumbnail, self.gallery)
            return image.thumbnail
        number = row + (self.earlier.next_thumbnail if self.earlier else 0)
        name = f"{THUMBNAILS}/{number // 1000:03}/{number:06}.webp"  # not from the id, which can be any text
        (self.gallery / name).parent.mkdir(parents=True, exist_ok=True)
        (self.gallery / name).write_bytes(image.thumbnail)
        return name


def _in_order(known: Sequence[np.ndarray | None], encoded: np.ndarray) -> np.ndarray:
    """Merge known vectors with those encoded for the None among them, in order: -> (n, ...)."""
    shape = next((vector.shape for vector in known if vector is not None), encoded.shape[1:])
    vectors = np.empty((len(known), *shape), encoded.dtype)
    rest = iter(encoded)
    for row, vector in enumerate(known):
        vectors[row] = next(rest) if vector is None else vector
    return vectors
