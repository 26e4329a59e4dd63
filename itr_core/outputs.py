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
    image: Tensor | None = None
    """Preprocessed pixels, (B, 3, H, W) float32."""
    image_features: Tensor | None = None
    """Cached features of the frozen image tower, (B, f) float32."""


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
