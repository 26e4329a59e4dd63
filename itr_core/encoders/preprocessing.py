"""Image preprocessing: open_clip's evaluation transform in two parts."""

from itertools import takewhile
from typing import Any, NamedTuple

from open_clip.transform import CenterCropOrPad, MaybeConvertMode, MaybeToTensor, ResizeKeepRatio
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize

from itr_core.errors import ModelError

_IMAGE_STEPS = (Resize, ResizeKeepRatio, CenterCrop, CenterCropOrPad, MaybeConvertMode)


class TransformSteps(NamedTuple):
    """The two parts of open_clip's evaluation transform, between which pixels become floats in [0, 1]."""

    resize: Compose
    """From PIL image to PIL image: resize, crop, conversion to RGB."""
    normalise: Normalize
    """From floats in [0, 1] to the mean and standard deviation that the image tower expects."""


def split_transform(transform: Any) -> TransformSteps:
    """Split open_clip's evaluation transform where it converts the image to floats.

    Pixels are kept as uint8 in between, in a quarter of the memory, and divided by 255 when they are used.

    Args:
        transform: result of `open_clip.transform.image_transform_v2(..., is_train=False)`.

    Raises:
        ModelError: The transform has other steps, or the same in another order.
    """
    steps = list(transform.transforms)
    image_steps = list(takewhile(lambda step: isinstance(step, _IMAGE_STEPS), steps))
    match steps[len(image_steps) :]:
        case [MaybeToTensor(), Normalize() as normalise]:
            return TransformSteps(Compose(image_steps), normalise)
    names = ", ".join(type(step).__name__ for step in steps)
    raise ModelError(
        f"The installed open_clip preprocesses images with unexpected steps ({names}); Pairscope needs steps "
        "that resize, crop and convert the image, then MaybeToTensor and Normalize. "
        "Install open_clip_torch>=3.3,<4."
    )
