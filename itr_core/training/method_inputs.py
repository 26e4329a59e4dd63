"""What a method needs beyond images and captions, made for each batch: this and no more."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from itr_core.methods import Method

if TYPE_CHECKING:
    from itr_core.supervision.concept_graph import ConceptGraph


@dataclass
class MethodInputs:
    """Rows of what was made once for the whole source, and captions generated for every batch anew.

    Whatever the method does not need stays None.
    """

    method: Method
    tokenizer: Any
    captions: Sequence[Sequence[str]]
    labels: np.ndarray | None = None
    """(n, C) bool, by image."""
    concepts: "ConceptGraph | None" = None
    teachers: tuple[np.ndarray, np.ndarray] | None = None
    """(n, t_i) by image and (m, t_t) by caption, floats, often mapped from disk."""
    _silent: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        self._silent = frozenset(row for row, texts in enumerate(self.captions) if not texts)

    def __call__(
        self,
        rows: np.ndarray,
        chosen: np.ndarray,
        caption_ids: np.ndarray,
        texts: Sequence[str],
        seed: tuple[int, int],
    ) -> dict[str, Tensor]:
        """Return fields of `PairBatch` for B captions.

        rows: (B,) the image of each. chosen: (B,) which of the image's captions it is. caption_ids: (B,) its
        place among all captions. texts: the captions as they are trained on. seed: what is generated for an
        image depends on this and the image alone, not on who else is in the batch.
        """
        made: dict[str, Tensor] = {}
        needs = self.method.needs
        if needs & {"positive_text", "negative_text"}:
            random = {row: np.random.default_rng([*seed, row, 1]) for row in rows.tolist()}
        if "positive_text" in needs:
            made["positive_text"] = self.tokenizer(
                [
                    self.method.positive_text(self.captions[row], anchor, random[row])
                    for row, anchor in zip(rows.tolist(), chosen.tolist(), strict=True)
                ]
            )
        if "negative_text" in needs:
            made["negative_text"] = self.tokenizer(
                [
                    self.method.negative_text(text, self._of_another(row, random[row]), random[row])
                    for row, text in zip(rows.tolist(), texts, strict=True)
                ]
            )
        if self.labels is not None:
            made["labels"] = torch.from_numpy(self.labels[rows].astype(np.float32))
        if self.concepts is not None:
            made["concepts"] = torch.from_numpy(self.concepts.named_in(texts).astype(np.float32))
        if self.teachers is not None:
            images, captions = self.teachers
            made["teacher_image"] = torch.from_numpy(images[rows].astype(np.float32))
            made["teacher_text"] = torch.from_numpy(captions[caption_ids].astype(np.float32))
        return made

    def _of_another(self, row: int, random: np.random.Generator) -> str:
        """A caption of another image; where there is no other, of the same."""
        for _ in range(100):
            other = int(random.integers(len(self.captions)))
            if other != row and other not in self._silent:
                row = other
                break
        return str(random.choice(self.captions[row]))
