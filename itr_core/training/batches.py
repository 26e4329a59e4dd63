"""Which pairs make up a training batch: a pure function of the seed and the batch's number.

So any worker can make any batch, and a run continues with the very batch at which it stopped. An epoch shows
every image once, in a new order, with captions drawn anew; no two rows of a batch show the same image, unless
several captions per image are asked for.
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
from itr_core.training.method_inputs import MethodInputs


@dataclass(frozen=True)
class EpochPlan:
    """Batch number -> rows, drawn from the usable `rows` (n,); what an epoch leaves over is dropped."""

    rows: np.ndarray
    batch_size: int
    seed: int

    @property
    def per_epoch(self) -> int:
        """Batches in one epoch; at least one, smaller than `batch_size` if there are fewer rows."""
        return max(1, len(self.rows) // self.batch_size)

    def __getitem__(self, number: int) -> tuple[int, np.ndarray]:
        """Return (epoch, rows) of batch `number`, counted through all epochs."""
        epoch, place = divmod(number, self.per_epoch)
        order = _order(len(self.rows), self.seed, epoch)
        return epoch, self.rows[order[place * self.batch_size : (place + 1) * self.batch_size]]


@lru_cache(maxsize=2)
def _order(n: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(n)


@dataclass
class LoadedBatch:
    """A batch as it leaves the loader: `pairs.image` still uint8, one image per `captions_per_image` rows."""

    epoch: int
    pairs: PairBatch
    unusable: dict[int, str]


class PairBatchDataset(Dataset):
    """Batch number -> `LoadedBatch`; a torch `DataLoader` with `batch_size=None` can read ahead in it."""

    def __init__(
        self,
        images: ImageRows,
        captions: Sequence[Sequence[str]],
        tokenizer: Any,
        plan: EpochPlan,
        *,
        captions_per_image: int = 1,
        word_dropout: float = 0.0,
        supplies: MethodInputs | None = None,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """`part`: which part of each batch to read, of how many consecutive ones, as equal as can be."""
        self.images = images
        self.captions = captions
        self.tokenizer = tokenizer
        self.plan = plan
        self.captions_per_image = captions_per_image
        self.word_dropout = word_dropout
        self.supplies = supplies
        self.part, self.parts = part
        self._first_caption = np.cumsum([0, *map(len, captions)])

    def __getitem__(self, number: int) -> LoadedBatch:
        epoch, rows = self.plan[number]
        values, rows = self.images.read(np.array_split(rows, self.parts)[self.part])
        if not len(rows):
            raise SourceError(
                f"No image of batch {number} can be decoded: {[*self.images.unusable.values()][-1]}"
            )
        texts, chosen = zip(
            *(pair for row in rows.tolist() for pair in self._captions(epoch, row)), strict=True
        )
        owners, which = rows.repeat(self.captions_per_image), np.array(chosen)
        caption_ids = self._first_caption[owners] + which
        extras = {}
        if self.supplies is not None:
            extras = self.supplies(owners, which, caption_ids, texts, (self.plan.seed, number))
        pairs = PairBatch(
            text=self.tokenizer(list(texts)),
            image_id=torch.from_numpy(owners),
            captions=list(texts),
            caption_id=torch.from_numpy(caption_ids),
            **{"image" if values.dtype == torch.uint8 else "image_features": values},
            **extras,
        )
        return LoadedBatch(epoch, pairs, self.images.unusable)

    def _captions(self, epoch: int, row: int) -> list[tuple[str, int]]:
        """Draw captions of an image: (text, which of them it is)."""
        random = np.random.default_rng([self.plan.seed, epoch, row])
        texts, wanted = self.captions[row], self.captions_per_image
        chosen = random.choice(len(texts), wanted, replace=wanted > len(texts)).tolist()
        return [(drop_words(texts[index], self.word_dropout, random), index) for index in chosen]


def drop_words(text: str, share: float, random: np.random.Generator) -> str:
    """Leave out each word with probability `share`; a text that would lose all its words stays whole."""
    if not share:
        return text
    words = text.split()
    kept = [word for word, chance in zip(words, random.random(len(words)), strict=True) if chance >= share]
    return " ".join(kept) or text
