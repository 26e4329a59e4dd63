"""What a method needs beyond images and captions: labels, concepts, teachers and generated captions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from itr_core.errors import ModelError, SourceError
from itr_core.methods import Method
from itr_core.training.word_dropout import drop_words

if TYPE_CHECKING:
    from itr_core.pairs import PairSet
    from itr_core.supervision.concept_graph import ConceptGraph


def check_method_inputs(
    method: Method,
    pairs: "PairSet",
    *,
    labels: str,
    image_teacher: str | None,
    text_teacher: str | None,
    triples: str | None,
    word_dropout: float,
) -> None:
    """Check what a method needs, as far as this takes no time, before images are decoded or encoded.

    Raises:
        SourceError: the source has no labels, no captions that are known to be false, or does not know which
            captions are true of which images; or there is no such file of triples.
        ModelError: there is no such teacher, or words are removed although the method needs to know which
            captions are true.
    """
    if "false_captions" in method.needs and pairs.false_captions is None:
        raise SourceError(
            f"{pairs.source} has no captions that are known to be false, which this method needs. "
            "picturebook:train+queries has them."
        )
    if "relevance" in method.needs and pairs.relevance is None:
        raise SourceError(
            f"{pairs.source} does not know which captions are true of which images, which this method needs. "
            "picturebook:train+queries does."
        )
    if "relevance" in method.needs and word_dropout:
        raise ModelError(
            f"word_dropout={word_dropout}: a caption that has lost words may be true of other images, and "
            "this method needs to know of which. Set word_dropout to 0."
        )
    if "labels" in method.needs and labels == "source":
        from itr_core.supervision.labels import source_labels

        source_labels(pairs)
    if "teachers" in method.needs:
        from itr_core.features.teachers import check_teachers

        check_teachers(image_teacher, text_teacher)
    if triples and not Path(triples).is_file():
        raise SourceError(
            f"triples={triples!r}: no such file. Name a tab-separated file of head, relation and tail."
        )


@dataclass
class MethodInputs:
    """Computes the optional fields of `PairBatch` for each batch.

    Labels, concepts and teacher embeddings are computed once for the whole source and looked up here;
    captions are generated for each batch. What the method does not need stays None.
    """

    method: Method
    tokenizer: Any
    """List of texts -> token ids (N, L)."""
    captions: Sequence[Sequence[str]]
    """The captions of each image."""
    labels: np.ndarray | None = None
    """(n, C) bool, the labels of each image."""
    concepts: "ConceptGraph | None" = None
    teachers: tuple[np.ndarray, np.ndarray] | None = None
    """(n, t_i) of each image and (m, t_t) of each caption, floats, memory-mapped if they are large."""
    false_captions: Sequence[Sequence[Sequence[str]]] | None = None
    """Captions that are known to be false of the image, for each caption of each image."""
    word_dropout: float = 0.0
    """Probability of removing each word of a generated positive, in [0, 1). It is that of the captions:
    otherwise the length would tell a generated caption from a caption of the source."""
    _without_captions: frozenset[int] = field(init=False)
    _first_false: np.ndarray = field(init=False)
    """(n + 1,) int64, the number of the first false caption of each image, as in `Relevance`."""

    def __post_init__(self) -> None:
        self._without_captions = frozenset(row for row, texts in enumerate(self.captions) if not texts)
        if self.false_captions is not None:
            counts = [sum(map(len, each)) for each in self.false_captions]
            self._first_false = sum(map(len, self.captions)) + np.cumsum([0, *counts])

    def __call__(
        self,
        rows: np.ndarray,
        chosen: np.ndarray,
        caption_ids: np.ndarray,
        texts: Sequence[str],
        seed: tuple[int, int],
    ) -> dict[str, Tensor]:
        """Return fields of `PairBatch` for B captions.

        Args:
            rows: (B,) int64, the image of each caption.
            chosen: (B,) int64, the index of each caption among those of its image.
            caption_ids: (B,) int64, the index of each caption among all captions of the source.
            texts: the B captions, after word dropout.
            seed: with the row of the image, it determines the generated captions; the other images of the
                batch have no influence.
        """
        made: dict[str, Tensor] = {}
        needs = self.method.needs
        if needs & {"positive_text", "negative_text"}:
            random = {row: np.random.default_rng([*seed, row, 1]) for row in rows.tolist()}
        if "positive_text" in needs:
            made["positive_text"] = self.tokenizer(
                [
                    self._positive_text(row, anchor, random[row])
                    for row, anchor in zip(rows.tolist(), chosen.tolist(), strict=True)
                ]
            )
        if "negative_text" in needs:
            made["negative_text"] = self.tokenizer(
                [
                    self.method.negative_text(text, self._caption_of_another(row, random[row]), random[row])
                    for row, text in zip(rows.tolist(), texts, strict=True)
                ]
            )
        if self.false_captions is not None:
            false = [
                self._false_caption(row, anchor, np.random.default_rng([*seed, row, anchor]))
                for row, anchor in zip(rows.tolist(), chosen.tolist(), strict=True)
            ]
            made["negative_text"] = self.tokenizer([text for text, _ in false])
            made["negative_id"] = torch.tensor([number for _, number in false])
        if self.labels is not None:
            made["labels"] = torch.from_numpy(self.labels[rows].astype(np.float32))
        if self.concepts is not None:
            made["concepts"] = torch.from_numpy(self.concepts.named_in(texts).astype(np.float32))
        if self.teachers is not None:
            images, captions = self.teachers
            made["teacher_image"] = torch.from_numpy(images[rows].astype(np.float32))
            made["teacher_text"] = torch.from_numpy(captions[caption_ids].astype(np.float32))
        return made

    def _positive_text(self, row: int, anchor: int, random: np.random.Generator) -> str:
        text = self.method.positive_text(self.captions[row], anchor, random)
        return drop_words(text, self.word_dropout, random)

    def _false_caption(self, row: int, anchor: int, random: np.random.Generator) -> tuple[str, int]:
        """Draw a false variant of a caption, or of another caption of the image if it has none.

        Returns:
            Its text, and its number as in `Relevance`.
        """
        assert self.false_captions is not None
        of_image = self.false_captions[row]
        texts = [text for each in of_image for text in each]
        first = sum(map(len, of_image[:anchor]))
        within = range(first, first + len(of_image[anchor])) or range(len(texts))
        chosen = int(random.choice(len(within)))
        return texts[within[chosen]], int(self._first_false[row]) + within[chosen]

    def _caption_of_another(self, row: int, random: np.random.Generator) -> str:
        """Return a random caption of another image, or of this one if 100 draws find no other."""
        for _ in range(100):
            other = int(random.integers(len(self.captions)))
            if other != row and other not in self._without_captions:
                row = other
                break
        return str(random.choice(self.captions[row]))
