"""What passes between the encoder, the training loop and a method: a batch in, its embeddings out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

from torch import Tensor, cat
from torch.nn import functional as F


@dataclass
class PairBatch:
    """B image-caption pairs as the trainer hands them to the encoder and then to the method.

    The encoder gets exactly one of `image` and `image_features`; the latter is what
    `DualEncoder.image_features` returned for the frozen image tower. The method gets neither.
    """

    text: Tensor
    """Token ids, (B, L) int64, 0 where padded."""
    image_id: Tensor
    """(B,) int64; two captions of one image carry the same id and are never each other's negatives."""
    captions: list[str]
    """The B captions as they were before tokenising."""
    caption_id: Tensor | None = None
    """(B,) int64, the place of each caption among all captions of the source, image by image."""
    image: Tensor | None = None
    """Preprocessed pixels, (B, 3, H, W) float32."""
    image_features: Tensor | None = None
    """Cached features of the frozen image tower, (B, f) float32."""

    # Only where the method needs them:
    positive_text: Tensor | None = None
    """Token ids of a generated caption that says something true of the image, (B, L) int64."""
    negative_text: Tensor | None = None
    """Token ids of a generated caption that says something untrue of it, (B, L) int64."""
    labels: Tensor | None = None
    """(B, C) float32, 1 where the image has the label."""
    concepts: Tensor | None = None
    """(B, K) float32, 1 where the caption names the concept."""
    teacher_image: Tensor | None = None
    """(B, t_i) float32, what the frozen image teacher makes of each image."""
    teacher_text: Tensor | None = None
    """(B, t_t) float32, what the frozen text teacher makes of each caption."""


@dataclass
class TextOutput:
    """The text tower's answer to further captions of the same batch; nothing is normalised."""

    text: Tensor
    """(B, d)."""
    tokens: Tensor | None = None
    """(B, L, d), one vector per sub-word position."""
    mask: Tensor | None = None
    """(B, L) bool, true at words."""


@dataclass
class EncoderOutput:
    """Both towers' answer to one batch, in the joint space of `d` dimensions; nothing is normalised."""

    image: Tensor
    """(B, d)."""
    text: Tensor
    """(B, d)."""
    logit_scale: Tensor
    """(), the inverse temperature, already exponentiated."""
    image_tokens: Tensor | None = None
    """(B, P, d), one vector per patch."""
    text_tokens: Tensor | None = None
    """(B, L, d), one vector per sub-word position."""
    text_mask: Tensor | None = None
    """(B, L) bool, true at words: neither start, end nor padding."""

    # Only where the method needs them:
    positive: TextOutput | None = None
    """The captions of `PairBatch.positive_text`."""
    negative: TextOutput | None = None
    """The captions of `PairBatch.negative_text`."""
    momentum: "EncoderOutput | None" = None
    """The same batch through the slowly following copy of the encoder, without gradients."""


Record = TypeVar("Record", PairBatch, EncoderOutput, TextOutput)


def each_tensor(record: Record, change: Callable[[Tensor], Tensor]) -> Record:
    """Return the record with all its tensors changed, those of the records inside it, too."""
    changed: dict[str, Any] = {}
    for name, value in _parts(record).items():
        if isinstance(value, Tensor):
            changed[name] = change(value)
        elif is_dataclass(value):
            changed[name] = each_tensor(value, change)  # type: ignore[type-var]
    return replace(record, **changed)


def split(batch: PairBatch, images: int) -> list[PairBatch]:
    """Cut a batch into consecutive parts, few and about equal, of at most so many images with their captions.

    It must be as it leaves the loader, with the images.
    """
    shown = batch.image_features if batch.image is None else batch.image
    assert shown is not None
    captions = len(batch.captions) // len(shown)  # of each image
    count = math.ceil(len(shown) / images)
    borders = [len(shown) * number // count for number in range(count + 1)]

    def part(start: int, end: int) -> PairBatch:
        own, told = slice(start, end), slice(start * captions, end * captions)
        of_images = ("image", "image_features")
        cut = {name: value[own if name in of_images else told] for name, value in _parts(batch).items()}
        return PairBatch(**cut)

    return [part(start, end) for start, end in pairwise(borders)]


def join(outputs: Sequence[Record]) -> Record:
    """Put the outputs of consecutive parts of a batch together; the temperature is that of the first."""
    joined: dict[str, Any] = {}
    for name, first in _parts(outputs[0]).items():
        values = [getattr(each, name) for each in outputs]
        if is_dataclass(first):
            joined[name] = join(values)
        else:
            joined[name] = join_rows(values) if first.ndim else first
    return type(outputs[0])(**joined)


def join_rows(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate (b, ...) along the rows; zeros follow where other dimensions are shorter than elsewhere."""
    sizes = [max(some) for some in zip(*(part.shape for part in parts), strict=True)]
    return cat([pad(part, [len(part), *sizes[1:]]) for part in parts])


def pad(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Let zeros follow up to `sizes`, in every dimension."""
    missing = [size - length for size, length in zip(sizes, x.shape, strict=True)]
    return F.pad(x, [amount for each in reversed(missing) for amount in (0, each)]) if any(missing) else x


def _parts(record: Any) -> dict[str, Any]:
    """The fields that are there."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: value for name, value in values.items() if value is not None}
