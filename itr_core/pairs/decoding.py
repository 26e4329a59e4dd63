"""Decode untrusted images safely to upright 8-bit RGB."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from itr_core.errors import ImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Accepted formats. The decoders of EPS, SVG and FITS run programs or can expand without limit."""
MAX_PIXELS = 50_000_000
"""Maximum number of pixels of an image."""

ImageSource = bytes | str | Path | Mapping[str, Any] | Image.Image


def decode_image(
    source: ImageSource, max_pixels: int = MAX_PIXELS, *, min_side: int | None = None
) -> Image.Image:
    """Decode the first frame of an image file to upright RGB over white, without metadata.

    EXIF orientation is applied, alpha is composited over white, and grey values of more than 8 bits are
    scaled instead of clipped.

    Args:
        source: a path, the bytes of a file, a `datasets` struct {"bytes", "path"}, or a PIL image (which is
            not changed).
        max_pixels: maximum number of pixels; it is checked in the header, before pixels are decoded.
        min_side: lets the JPEG decoder reduce a large photo by 2, 4 or 8 as long as both sides keep at
            least this many pixels, which is several times faster.

    Raises:
        ImageError: the file is not a complete JPEG, PNG, WebP, GIF, BMP or TIFF image within the limit.
    """
    try:
        with _opened(source, max_pixels) as image:
            if min_side and image is not source:
                image.draft(image.mode, (min_side, min_side))
            image.load()
            upright = image
            with suppress(Exception):  # the pixels are usable even if the EXIF block is damaged
                upright = ImageOps.exif_transpose(image)
            rgb = _to_rgb(upright)
    except ImageError as error:
        raise ImageError(f"{source}: {error}" if isinstance(source, str | Path) else str(error)) from error
    except Exception as error:  # Pillow's decoders raise a dozen types on malformed bytes
        name = f"{source}: " if isinstance(source, str | Path) else ""
        raise ImageError(f"{name}truncated or damaged ({error})") from error
    rgb.info.clear()
    return rgb


def check_image(source: ImageSource, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (width, height) from the header, before EXIF rotation.

    Raises:
        ImageError: the header cannot be read, or the image has too many pixels.
    """
    with _opened(source, max_pixels) as image:
        return image.size


def open_file(source: bytes | str | Path | Mapping[str, Any]) -> BytesIO | BufferedReader:
    """Open a file by path, bytes or `datasets` struct.

    Raises:
        ImageError: the file is missing, unreadable or empty.
    """
    if isinstance(source, Mapping):
        data = source.get("bytes")
        content: bytes | str | Path | None = source.get("path") if data is None else data
        if content is None:
            raise ImageError("no image in this row")
        return open_file(content)
    if isinstance(source, str | Path):
        try:
            if Path(source).stat().st_size:
                return Path(source).open("rb")
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            raise ImageError(f"cannot be read ({getattr(error, 'strerror', error)})") from error
    elif source:
        return BytesIO(source)
    raise ImageError("empty file (0 bytes)")


@contextmanager
def _opened(source: ImageSource, max_pixels: int) -> Iterator[Image.Image]:
    if isinstance(source, Image.Image):
        _check_size(source, max_pixels)
        yield source
        return
    with open_file(source) as file:
        try:
            image = Image.open(file, formats=FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ImageError(f"more than {max_pixels:,} pixels, the limit for an image") from error
        except Exception as error:
            raise ImageError("not a JPEG, PNG, WebP, GIF, BMP or TIFF image") from error
        with image:
            _check_size(image, max_pixels)
            yield image


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"{width} x {height} pixels; the limit for an image is {max_pixels:,} pixels")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.copy() if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scale grey values to 8 bits by the range of the mode, else by the range of the values."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
    low, high = 0.0, 65535.0
    if not image.mode.startswith("I;16"):
        least, most = values.min(), values.max()
        ceilings = (1.0, 255.0) if image.mode == "F" else (255.0, 65535.0)
        fitting = [ceiling for ceiling in ceilings if least >= 0 and most <= ceiling]
        low, high = (0.0, fitting[0]) if fitting else (least, most)
    return Image.fromarray(np.rint((values - low) * (255.0 / max(high - low, 1e-12))).astype(np.uint8))
