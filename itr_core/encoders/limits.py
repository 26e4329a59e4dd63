"""Where images and texts are cut before a model reads them."""

import re
from collections.abc import Callable

from PIL import Image

_MAX_ASPECT_RATIO = 8


def limit_aspect_ratio(image: Image.Image) -> Image.Image:
    """Crop an image from both ends so that its longer side is at most 8 times its shorter side.

    The centre crop that follows would discard these ends anyway. Without this crop, resizing the shorter side
    of an image of 1 x 20,000 pixels to 224 would take 3 GB.
    """
    width, height = image.size
    longest = _MAX_ASPECT_RATIO * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image.crop((left, top, min(width, left + longest), min(height, top + longest)))


def split_text(text: str, fits: Callable[[str], bool]) -> tuple[str, str]:
    """Split a text into the longest part that fits and the rest.

    Args:
        text: the text.
        fits: Tells whether a beginning of the text is not truncated.

    Returns:
        `(kept, lost)` with `kept + lost == text`. `kept` is the longest sequence of whole words that fits;
        if the first word alone is too long, it is the longest part of this word that fits.
    """
    if fits(text):
        return text, ""
    ends = [0, *(match.end() for match in re.finditer(r"\S+", text))]
    if not fits(text[: ends[1]]):
        ends = list(range(ends[1] + 1))
    low, high = 0, len(ends) - 1  # the first `low` boundaries fit, boundary `high` does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(text[: ends[middle]]) else (low, middle)
    return text[: ends[low]], text[ends[low] :]
