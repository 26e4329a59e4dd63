"""Image preprocessing that comes before the model's own transforms."""

from PIL import Image

_LONGEST = 8  # times the shorter side


def centre_of_strip(image: Image.Image) -> Image.Image:
    """Crop pictures far longer than wide to their middle, which is all that a centre crop would leave.

    Resizing the shorter side of a 1 x 20,000 strip to 224 first would take 3 GB.
    """
    width, height = image.size
    most = _LONGEST * min(width, height)
    if max(width, height) <= most:
        return image
    left, top = max(0, (width - most) // 2), max(0, (height - most) // 2)
    return image.crop((left, top, min(width, left + most), min(height, top + most)))
