"""Decode images that come from anywhere, safely and always to the same upright 8-bit RGB."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from itr_core.errors import ImageError

FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "BMP",
    "TIFF",
)  # no EPS, SVG, FITS: their decoders run programs or unpack bombs
MAX_PIXELS = 50_000_000

ImageSource = bytes | str | Path | Mapping[str, Any] | Image.Image


def decode_image(
    source: ImageSource, max_pixels: int = MAX_PIXELS, *, min_side: int | None = None
) -> Image.Image:
    """Decode the first frame of an image file to upright RGB over white, without metadata.

    `source` is a path, the bytes of a file, a `datasets` struct {"bytes", "path"}, or a PIL image (never
    changed). EXIF orientation is applied, alpha is composited over white, and grey deeper than 8 bits is
    scaled down instead of clipped. `max_pixels` is compared with the size in the header, before any pixel is
    decoded. `min_side` lets the JPEG decoder shrink a large photo by 2, 4 or 8 while both sides stay at least
    that long, which is several times faster.

    Raises ImageError for anything that is not a whole JPEG, PNG, WebP, GIF, BMP or TIFF image in that limit.
    """
    try:
        with _opened(source, max_pixels) as image:
            if min_side and image is not source:
                image.draft(image.mode, (min_side, min_side))
            image.load()
            with suppress(Exception):  # a damaged EXIF block says nothing about the pixels
                image = ImageOps.exif_transpose(image)
            rgb = _to_rgb(image)
    except ImageError as error:
        raise ImageError(f"{source}: {error}" if isinstance(source, str | Path) else str(error)) from error
    except Exception as error:  # Pillow's decoders let through any of a dozen types on hostile bytes
        name = f"{source}: " if isinstance(source, str | Path) else ""
        raise ImageError(f"{name}truncated or damaged ({error})") from error
    rgb.info.clear()
    return rgb


def check_image(source: ImageSource, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (width, height) as stored, from the header alone; raise ImageError with the reason."""
    with _opened(source, max_pixels) as image:
        return image.size


def open_file(source: bytes | str | Path | Mapping[str, Any]) -> BytesIO | BufferedReader:
    """Open the file that `source` names or holds; raise ImageError if it is missing, unreadable or empty."""
    if isinstance(source, Mapping):
        held = source.get("bytes")
        content: bytes | str | Path | None = source.get("path") if held is None else held
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
            raise ImageError(f"more than {max_pixels:,} pixels, the limit for one image") from error
        except Exception as error:
            raise ImageError("not a JPEG, PNG, WebP, GIF, BMP or TIFF image") from error
        with image:
            _check_size(image, max_pixels)
            yield image


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"{width} x {height} pixels; the limit for one image is {max_pixels:,} pixels")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.copy() if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scale deep grey by the range its mode promises, or by its own range where the mode promises none."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
    low, high = 0.0, 65535.0
    if not image.mode.startswith("I;16"):
        least, most = values.min(), values.max()
        ceilings = (1.0, 255.0) if image.mode == "F" else (255.0, 65535.0)
        fitting = [ceiling for ceiling in ceilings if least >= 0 and most <= ceiling]
        low, high = (0.0, fitting[0]) if fitting else (least, most)
    return Image.fromarray(np.rint((values - low) * (255.0 / max(high - low, 1e-12))).astype(np.uint8))
