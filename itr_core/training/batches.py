"""Training batches: each is a pure function of the seed and its number.

Any process can therefore load any batch, and a resumed run continues with the next batch of the stopped one.
An epoch contains every image at most once, in a new order and with newly sampled captions. All images of a
batch differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from itr_core.batch import PairBatch
from itr_core.errors import SourceError
from itr_core.features.image_rows import ImageRows
from itr_core.pairs.row_groups import Blocks
from itr_core.training.method_inputs import MethodInputs
from itr_core.training.word_dropout import drop_words


@dataclass(frozen=True, eq=False)  # hashable, for the cache of `_shuffled`
class EpochPlan:
    """Which rows form which batch; images that do not fill a last batch are skipped until the next epoch."""

    rows: np.ndarray
    """(n,) int64, the usable rows of the source."""
    batch_size: int
    """Images per batch."""
    seed: int
    keep_together: int = 1
    """Rows of the source that are shuffled as one block."""
    read_together: Blocks | None = None
    """Rows that are read together: an epoch shuffles these blocks, and the rows of as many of them as can be
    kept at a time. None: it shuffles all rows."""

    @property
    def per_epoch(self) -> int:
        """Batches in one epoch; with fewer than `batch_size` rows, one smaller batch."""
        return max(1, len(self.rows) // self.batch_size)

    def __getitem__(self, number: int) -> tuple[int, np.ndarray]:
        """Return the epoch and the rows of batch `number`, counted from 0 through all epochs."""
        epoch, index = divmod(number, self.per_epoch)
        return epoch, _shuffled(self, epoch)[index * self.batch_size : (index + 1) * self.batch_size]


@lru_cache(maxsize=2)
def _shuffled(plan: EpochPlan, epoch: int) -> np.ndarray:
    blocks, block_of_row = np.unique(plan.rows // plan.keep_together, return_inverse=True)
    random = np.random.default_rng([plan.seed, epoch])
    order = random.permutation(len(blocks))
    place = np.argsort(order)  # of each block
    if plan.read_together:
        read = plan.read_together.of_row[blocks * plan.keep_together]
        window = random.permutation(read.max() + 1)[read] // plan.read_together.together
        place = np.argsort(np.lexsort((place, window)))
    return plan.rows[np.argsort(place[block_of_row], kind="stable")]


@dataclass
class LoadedBatch:
    """A batch as the loader returns it: pixels are uint8, and no image is repeated for its captions."""

    epoch: int
    pairs: PairBatch
    unusable: dict[int, str]
    """Row -> reason, for all images that could not be decoded so far."""


class PairBatchDataset(Dataset[LoadedBatch]):
    """Batch number -> `LoadedBatch`, for a torch `DataLoader` with `batch_size=None`."""

    def __init__(
        self,
        images: ImageRows,
        captions: Sequence[Sequence[str]],
        tokenizer: Any,
        plan: EpochPlan,
        *,
        captions_per_image: int = 1,
        word_dropout: float = 0.0,
        inputs: MethodInputs | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        """Combine images, captions and a plan.

        Args:
            images: the images of the source.
            captions: the captions of each image.
            tokenizer: list of B texts -> token ids (B, L).
            plan: the rows of every batch.
            captions_per_image: captions that are sampled for each image, distinct if it has enough.
            word_dropout: probability of removing each word of a caption, in [0, 1).
            inputs: further inputs of the method.
            shard: (index, count), the part of each batch that is loaded.
        """
        self.images = images
        self.captions = captions
        self.tokenizer = tokenizer
        self.plan = plan
        self.captions_per_image = captions_per_image
        self.word_dropout = word_dropout
        self.inputs = inputs
        self.shard, self.shards = shard
        self._first_caption = np.cumsum([0, *map(len, captions)])

    def __getitem__(self, number: int) -> LoadedBatch:
        """Load a batch; raise SourceError if none of its images can be decoded."""
        epoch, rows = self.plan[number]
        values, rows = self.images.read(np.array_split(rows, self.shards)[self.shard])
        if not len(rows):
            raise SourceError(
                f"No image of batch {number} can be decoded: {[*self.images.unusable.values()][-1]}"
            )
        texts, chosen = zip(
            *(pair for row in rows.tolist() for pair in self._sample_captions(epoch, row)), strict=True
        )
        image_of_caption, index = rows.repeat(self.captions_per_image), np.array(chosen)
        caption_ids = self._first_caption[image_of_caption] + index
        extra: dict[str, Any] = {}
        if self.inputs is not None:
            extra = self.inputs(image_of_caption, index, caption_ids, texts, (self.plan.seed, number))
        pairs = PairBatch(
            text=self.tokenizer(list(texts)),
            image_id=torch.from_numpy(image_of_caption),
            captions=list(texts),
            caption_id=torch.from_numpy(caption_ids),
            **{"image" if self.images.are_pixels else "image_features": values},
            **extra,
        )
        return LoadedBatch(epoch, pairs, self.images.unusable)

    def _sample_captions(self, epoch: int, row: int) -> list[tuple[str, int]]:
        """Sample captions of an image: (text, index among the captions of the image)."""
        random = np.random.default_rng([self.plan.seed, epoch, row])
        texts, count = self.captions[row], self.captions_per_image
        chosen = random.choice(len(texts), count, replace=count > len(texts)).tolist()
        return [(drop_words(texts[index], self.word_dropout, random), index) for index in chosen]
