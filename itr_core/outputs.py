"""What passes between the encoder, the training loop and a method: a batch in, its embeddings out."""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class PairBatch:
    """B image-caption pairs as the trainer hands them to the encoder and then to the method.

    Exactly one of `image` and `image_features` is given; the latter is what `DualEncoder.image_features`
    returned for the frozen image tower.
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
