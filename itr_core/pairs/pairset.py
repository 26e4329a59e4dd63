"""Pairs and sets of pairs: image, captions, image id, optional labels."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from itr_core.errors import ImageError, SourceError
from itr_core.pairs.decoding import decode_image
from itr_core.pairs.report import Skipped
from itr_core.pairs.row_groups import Blocks, RowGroups
from itr_core.pairs.source_files import SourceFile, source_file

if TYPE_CHECKING:
    from datasets import Dataset

Images = slice | np.ndarray
"""A selection of images: a slice or row numbers."""
Triple = tuple[str, str, str]
"""(head, relation, tail), such as (puppy, Synonym, dog)."""


@dataclass(frozen=True)
class Pair:
    """One image (RGB) with any number of captions and, if the source has them, labels."""

    image: Image.Image
    captions: list[str]
    image_id: str
    labels: list[str] | None = None


class Relevance(Protocol):
    """Which captions are true of which images beyond the given pairs.

    The m captions are numbered from 0 in the order of `flat_captions`. From m on follow those of
    `false_captions`, if the source has them: each is false of its own image, but may be true of another one.
    """

    def matrix(self, images: Images = slice(None), captions: np.ndarray | None = None) -> np.ndarray:
        """Return bool (n_selected_images, n_captions): true where the caption is true of the image.

        Args:
            images: selects images.
            captions: numbers of captions, int64 (n_captions,); None selects the m captions.
        """
        ...

    def grade(self, images: Images = slice(None)) -> np.ndarray:
        """Return float32 in [0, 1], same shape: the fraction of the image content that the caption states."""
        ...


class PairSet:
    """Images with captions: a thin wrapper on a `datasets.Dataset`.

    The columns of the dataset are image, captions (list of strings), image_id (unique) and optionally labels.
    Captions and ids are read without decoding images.

    Args:
        dataset: one row per image.
        source: the spec that names the source.
        decode: maps a value of the image column to an RGB image. By default the value is a struct
            {"bytes", "path"} (the feature `Image(decode=False)`).
        remote: where the images of a streamed source are; the values of the image column are its names.
        relevance: which captions are true of which images, if the source knows it.
        triples: relations between words that the source provides.
        image_features: (n, f), or (n, R, f) of R regions, of a source that has features of its images in the
            place of the images.
        skipped: images, lines and files of the source that are not in the set, with reasons.
        notes: sentences on what was joined, renamed or repaired while the source was read.

    Raises:
        SourceError: image ids are not unique.

    Attributes:
        options: the options of `load_pairs` that were given, which a command to load the source again needs.
    """

    def __init__(
        self,
        dataset: "Dataset",
        *,
        source: str,
        decode: Callable[[Any], Image.Image] = decode_image,
        remote: RowGroups | None = None,
        relevance: Relevance | None = None,
        triples: Sequence[Triple] = (),
        image_features: np.ndarray | None = None,
        skipped: Sequence[Skipped] = (),
        notes: Sequence[str] = (),
    ) -> None:
        self.dataset = dataset
        self.source = source
        self.decode = decode
        self.remote = remote
        self.relevance = relevance
        self.triples = triples
        self.image_features = image_features
        self.skipped = list(skipped)
        self.notes = list(notes)
        self.options: Mapping[str, Any] = {}
        self.image_ids: list[str] = list(dataset["image_id"][:])
        if len(set(self.image_ids)) < len(self.image_ids):
            raise SourceError(_duplicates(source, self.image_ids))

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int) -> Pair:
        labels = self.labels[index] if self.labels is not None else None
        return Pair(self.image(index), self.captions[index], self.image_ids[index], labels)

    def __iter__(self) -> Iterator[Pair]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"PairSet({self.source!r}, {len(self)} images, {sum(map(len, self.captions))} captions)"

    def image(self, index: int) -> Image.Image:
        """Decode one image to RGB.

        Raises:
            ImageError: the file is damaged; the message names the image.
            SourceError: the image is streamed, and its file cannot be read.
        """
        try:
            return self.decode(self.image_value(index))
        except ImageError as error:
            raise ImageError(f"{self.image_ids[index]}: {error}") from error

    def image_value(self, index: int) -> Any:
        """Return what `decode` maps to the image; for a streamed image, its file as {"bytes", "path"}."""
        value = self.dataset[index]["image"]
        return self.remote.fetch(value) if self.remote else value

    @cached_property
    def blocks(self) -> Blocks | None:
        """The images that are read together, of a streamed source."""
        return self.remote.blocks(self.dataset["image"][:]) if self.remote else None

    @cached_property
    def captions(self) -> list[list[str]]:
        """The captions of each image, in the order of the source."""
        return list(self.dataset["captions"][:])

    @cached_property
    def labels(self) -> list[list[str]] | None:
        """The labels of each image, or None if the source has no labels."""
        return list(self.dataset["labels"][:]) if "labels" in self.dataset.column_names else None

    @cached_property
    def false_captions(self) -> list[list[list[str]]] | None:
        """For each caption of each image, captions that are known to be false of the image, or None."""
        if "false_captions" not in self.dataset.column_names:
            return None
        return list(self.dataset["false_captions"][:])

    @property
    def uncaptioned(self) -> list[str]:
        """The ids of images without captions, which can be searched but not evaluated."""
        ids = zip(self.image_ids, self.captions, strict=True)
        return [image_id for image_id, captions in ids if not captions]

    def flat_captions(self) -> tuple[list[str], np.ndarray]:
        """Return all captions, image by image (m,), and the index of the image of each, int64 (m,)."""
        counts = [len(captions) for captions in self.captions]
        texts = [caption for captions in self.captions for caption in captions]
        return texts, np.repeat(np.arange(len(self), dtype=np.int64), counts)

    @cached_property
    def files(self) -> list[SourceFile]:
        """What each image file contains: every file is read once, in a small part of the time of decoding.

        Raises:
            ImageError: A file cannot be read; the message names the image.
        """
        return self._read_files({})

    def expect_files(self, known: Mapping[str, SourceFile]) -> None:
        """Let `files` read only those files that have changed.

        Args:
            known: Image id -> what the file was before. It is taken as unchanged if size and time are equal.
        """
        self.files = self._read_files(known)

    def _read_files(self, known: Mapping[str, SourceFile]) -> list[SourceFile]:
        if self.image_features is not None:
            digests = (hashlib.sha256(rows.tobytes()).hexdigest() for rows in self.image_features)
            return [SourceFile(digest, None) for digest in digests]
        files = []
        for image_id, row in zip(self.image_ids, self.dataset.select_columns("image"), strict=True):
            try:
                files.append(source_file(row["image"], known.get(image_id)))
            except ImageError as error:
                raise ImageError(f"{image_id}: {error}") from error
        return files

    @cached_property
    def fingerprint(self) -> str:
        """Hex sha256 over ids, captions, labels and image files, in order.

        It does not depend on paths or layout: the same data has the same fingerprint on every machine.
        """
        digest = hashlib.sha256()
        for index, file in enumerate(self.files):
            labels = self.labels[index] if self.labels is not None else None
            record = [self.image_ids[index], self.captions[index], labels, file.digest]
            digest.update(json.dumps(record, ensure_ascii=False).encode())
        return digest.hexdigest()

    def select(self, indices: Sequence[int] | np.ndarray | range) -> "PairSet":
        """Return the pairs at unique `indices`, in this order, with their relevance."""
        rows = np.asarray(indices, dtype=np.int64)
        relevance = None
        if self.relevance is not None:
            counts = np.array([len(captions) for captions in self.captions], dtype=np.int64)
            columns = _numbers(counts, rows)
            false = np.array([], dtype=np.int64)
            if self.false_captions is not None:
                of_false = np.array([sum(map(len, each)) for each in self.false_captions], dtype=np.int64)
                false = counts.sum() + _numbers(of_false, rows)
            relevance = _SelectedRelevance(self.relevance, rows, columns, false)
        return PairSet(
            self.dataset.select(rows),
            source=self.source,
            decode=self.decode,
            remote=self.remote,
            relevance=relevance,
            triples=self.triples,
            image_features=None if self.image_features is None else self.image_features[rows],
            skipped=self.skipped,
            notes=self.notes,
        )


@dataclass(frozen=True)
class _SelectedRelevance:
    whole: Relevance
    rows: np.ndarray
    columns: np.ndarray
    """The numbers of the selected captions in `whole`."""
    false: np.ndarray
    """The numbers of the false captions of the selected images in `whole`."""

    def matrix(self, images: Images = slice(None), captions: np.ndarray | None = None) -> np.ndarray:
        if captions is None:
            return self.whole.matrix(self.rows[images])[:, self.columns]
        return self.whole.matrix(self.rows[images], np.concatenate([self.columns, self.false])[captions])

    def grade(self, images: Images = slice(None)) -> np.ndarray:
        return self.whole.grade(self.rows[images])[:, self.columns]


def _numbers(counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Number the parts of all rows from 0, row by row, and return the numbers of those of some rows.

    Args:
        counts: (n,), parts of each row.
        rows: (r,), the selected rows, in any order.
    """
    ends = counts.cumsum()
    return np.concatenate([np.arange(ends[row] - counts[row], ends[row]) for row in rows] or [rows])


def _duplicates(source: str, image_ids: list[str]) -> str:
    repeated = [image_id for image_id, count in Counter(image_ids).items() if count > 1]
    names = ", ".join(map(repr, repeated[:3])) + (", ..." if len(repeated) > 3 else "")
    return (
        f"{source}: {len(repeated)} image ids occur more than once ({names}). "
        "Every image needs one row with all its captions and a unique id."
    )
