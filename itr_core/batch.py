"""The batch that the trainer passes to encoder and method, and the embeddings that the encoder returns.

The metadata of every field says whether it has one row per image or one per caption, or no rows. What
splits, joins or repeats batches reads only that.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

from torch import Tensor, cat
from torch.nn import functional as F

ROWS = "one_row_per"
PER_IMAGE: Mapping[str, str] = {ROWS: "image"}
PER_CAPTION: Mapping[str, str] = {ROWS: "caption"}


@dataclass
class PairBatch:
    """I images with B captions, grouped by image: every image has B / I consecutive captions.

    The encoder gets exactly one of `image` and `image_features`; the method gets neither.
    """

    text: Tensor = field(metadata=PER_CAPTION)
    """Token ids, (B, L) int64, 0 for padding."""
    image_id: Tensor = field(metadata=PER_CAPTION)
    """(B,) int64, the image of each caption. Captions with the same id are never negatives of each other."""
    captions: list[str] = field(metadata=PER_CAPTION)
    """The B captions before tokenisation."""
    caption_id: Tensor | None = field(default=None, metadata=PER_CAPTION)
    """(B,) int64, index of each caption among all captions of the source, in the order of its images."""
    image: Tensor | None = field(default=None, metadata=PER_IMAGE)
    """Pixels, (I, 3, H, W) uint8, not normalised."""
    image_features: Tensor | None = field(default=None, metadata=PER_IMAGE)
    """Features of the frozen image trunk, (I, f) float32, see `DualEncoder.image_features`."""

    # Only for methods that need them:
    positive_text: Tensor | None = field(default=None, metadata=PER_CAPTION)
    """Token ids of a generated caption that is true of the image, (B, L) int64."""
    negative_text: Tensor | None = field(default=None, metadata=PER_CAPTION)
    """Token ids of a caption that is false of the image, generated or from the source, (B, L) int64."""
    negative_id: Tensor | None = field(default=None, metadata=PER_CAPTION)
    """(B,) int64, number of the caption of `negative_text`, if it is from the source; see `Relevance`."""
    labels: Tensor | None = field(default=None, metadata=PER_CAPTION)
    """(B, C) float32, 1 where the image has the label."""
    concepts: Tensor | None = field(default=None, metadata=PER_CAPTION)
    """(B, K) float32, 1 where the caption names the concept."""
    teacher_image: Tensor | None = field(default=None, metadata=PER_CAPTION)
    """(B, t_i) float32, embedding of each caption's image by the frozen image teacher."""
    teacher_text: Tensor | None = field(default=None, metadata=PER_CAPTION)
    """(B, t_t) float32, embedding of each caption by the frozen text teacher."""


@dataclass
class TextOutput:
    """Embeddings of generated captions of the same batch, not normalised."""

    text: Tensor = field(metadata=PER_CAPTION)
    """(B, d)."""
    tokens: Tensor | None = field(default=None, metadata=PER_CAPTION)
    """(B, L, d), one vector per sub-word."""
    mask: Tensor | None = field(default=None, metadata=PER_CAPTION)
    """(B, L) bool, true at words: neither start, end nor padding."""


@dataclass
class EncoderOutput:
    """Embeddings of one batch in the joint space of d dimensions, not normalised.

    The encoder returns one row per image; the method gets every image repeated for each of its captions, so
    that row i of `image` and row i of `text` are a pair.
    """

    image: Tensor = field(metadata=PER_IMAGE)
    """(B, d)."""
    text: Tensor = field(metadata=PER_CAPTION)
    """(B, d)."""
    logit_scale: Tensor
    """(), the inverse temperature exp(s) of the learned s."""
    image_tokens: Tensor | None = field(default=None, metadata=PER_IMAGE)
    """(B, P, d), one vector per patch."""
    text_tokens: Tensor | None = field(default=None, metadata=PER_CAPTION)
    """(B, L, d), one vector per sub-word."""
    text_mask: Tensor | None = field(default=None, metadata=PER_CAPTION)
    """(B, L) bool, true at words: neither start, end nor padding."""

    # Only for methods that need them:
    positive: TextOutput | None = None
    """Embeddings of `PairBatch.positive_text`."""
    negative: TextOutput | None = None
    """Embeddings of `PairBatch.negative_text`."""
    logit_bias: Tensor | None = None
    """(), the learned bias of the logits; None if the model has none."""
    momentum: "EncoderOutput | None" = None
    """Embeddings of the same batch by the momentum encoder, without gradients."""


Record = TypeVar("Record", PairBatch, EncoderOutput, TextOutput)


def map_tensors(record: Record, change: Callable[[Tensor], Tensor]) -> Record:
    """Return the record with `change` applied to all tensors, including those of nested records."""
    return _map(record, lambda _, value: change(value))


def map_rows(record: Record, change: Callable[[Tensor], Tensor]) -> Record:
    """Return the record with `change` applied to all tensors with one row per image or caption."""
    return _map(record, lambda each, value: change(value) if ROWS in each.metadata else value)


def repeat_images(out: EncoderOutput, times: int) -> EncoderOutput:
    """Repeat every row that belongs to an image: rows 0, 0, 1, 1, ... of `out` if `times` is 2."""
    if times == 1:
        return out

    def repeated(each: Field[Any], value: Tensor) -> Tensor:
        return value.repeat_interleave(times, 0) if each.metadata.get(ROWS) == "image" else value

    return _map(out, repeated)


def split(batch: PairBatch, images: int) -> list[PairBatch]:
    """Split a batch into consecutive parts of at most `images` images each, as equal as possible.

    Every image stays with its captions. The batch must contain images or image features.
    """
    values = batch.image_features if batch.image is None else batch.image
    assert values is not None
    n, captions_per_image = len(values), len(batch.captions) // len(values)
    count = math.ceil(n / images)
    bounds = [n * number // count for number in range(count + 1)]

    def part(start: int, end: int) -> PairBatch:
        rows = {
            "image": slice(start, end),
            "caption": slice(start * captions_per_image, end * captions_per_image),
        }
        return PairBatch(**{each.name: value[rows[each.metadata[ROWS]]] for each, value in _present(batch)})

    return [part(start, end) for start, end in pairwise(bounds)]


def join(outputs: Sequence[Record]) -> Record:
    """Concatenate the outputs of consecutive parts of a batch; what has no rows is taken from the first."""
    joined: dict[str, Any] = {}
    for each, first in _present(outputs[0]):
        values = [getattr(output, each.name) for output in outputs]
        if is_dataclass(first):
            joined[each.name] = join(values)
        else:
            joined[each.name] = join_rows(values) if ROWS in each.metadata else first
    return type(outputs[0])(**joined)


def join_rows(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate tensors (b, ...) along the rows; shorter other dimensions are padded with zeros."""
    sizes = [max(some) for some in zip(*(part.shape for part in parts), strict=True)]
    return cat([pad(part, [len(part), *sizes[1:]]) for part in parts])


def pad(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Pad with zeros at the end of every dimension, up to `sizes`."""
    missing = [size - length for size, length in zip(sizes, x.shape, strict=True)]
    return F.pad(x, [amount for each in reversed(missing) for amount in (0, each)]) if any(missing) else x


def _map(record: Record, change: Callable[[Field[Any], Tensor], Tensor]) -> Record:
    changed: dict[str, Any] = {}
    for each, value in _present(record):
        if isinstance(value, Tensor):
            changed[each.name] = change(each, value)
        elif not isinstance(value, list):  # a nested record, not the captions
            changed[each.name] = _map(value, change)
    return replace(record, **changed)


def _present(record: PairBatch | EncoderOutput | TextOutput) -> Iterator[tuple[Field[Any], Any]]:
    """Return the fields that are not None, with their values."""
    for each in fields(record):
        value = getattr(record, each.name)
        if value is not None:
            yield each, value
