"""Decode untrusted images safely to upright 8-bit RGB.

Every image of a source, of a visitor and of a search with a file is opened here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader, BytesIO
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pillow_heif
from PIL import ExifTags, Image, TiffImagePlugin

from itr_core.errors import ImageError
from itr_core.pairs.references import open_reference

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
"""Accepted formats by Pillow's names. Decoders of EPS, SVG and FITS run programs or expand without limit."""
FORMAT_NAMES = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC"
MAX_PIXELS = 50_000_000
"""Default of the maximum number of pixels of an image in a source."""
UPLOAD_PIXELS = 25_000_000
"""Maximum number of pixels of a picture that a visitor of the app uploads."""


class ImageTooLargeError(ImageError):
    """An image has more pixels than allowed."""


ImageSource = bytes | str | Path | Mapping[str, Any] | Image.Image

_STRIP = (
    2_000_000  # pixels that are converted at a time: the copies of a conversion take 32 MB, not gigabytes
)
_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_one_upload = Lock()

pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


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
        min_side: reduces a large image by a whole factor, as long as both sides keep at least this many
            pixels. The JPEG decoder does this several times faster than it decodes the whole image.

    Raises:
        ImageError: the file is not a complete image of an accepted format within the limit.
    """
    try:
        with _opened(source, max_pixels) as image:
            if min_side and image.format in ("JPEG", "MPO") and image is not source:
                image.draft(image.mode, (min_side, min_side))
            image.load()
            _check_size(image, max_pixels)  # a HEIC header can understate the size of its pixels
            rgb = _to_rgb(image, max(1, min(image.size) // min_side) if min_side else 1)
            with suppress(Exception):  # the pixels are usable even if the EXIF block is damaged
                orientation = image.getexif().get(ExifTags.Base.Orientation)
                rgb = rgb.transpose(_TRANSPOSED[orientation]) if orientation in _TRANSPOSED else rgb
    except ImageError as error:
        raise type(error)(f"{source}: {error}" if isinstance(source, str | Path) else str(error)) from error
    except Exception as error:  # Pillow's decoders raise a dozen types on malformed bytes
        name = f"{source}: " if isinstance(source, str | Path) else ""
        why = "not enough memory" if isinstance(error, MemoryError) else " ".join(str(error).split())
        raise ImageError(f"{name}truncated or damaged ({why})") from error
    return rgb


def decode_upload(content: bytes, *, min_side: int) -> Image.Image:
    """Decode a picture that a visitor of the app sends: see `decode_image`.

    Uploads are decoded one at a time and have at most `UPLOAD_PIXELS` pixels, so that the memory that
    visitors use is bounded.

    Raises:
        ImageError: the content is not a complete image of an accepted format within the limit.
    """
    with _one_upload:
        return decode_image(content, UPLOAD_PIXELS, min_side=min_side)


def check_image(source: ImageSource, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (width, height) from the header, before EXIF rotation.

    Raises:
        ImageError: the header cannot be read, or the image has too many pixels.
    """
    with _opened(source, max_pixels) as image:
        return image.size


def open_file(source: bytes | str | Path | Mapping[str, Any]) -> BytesIO | BufferedReader:
    """Open a file by path, reference, bytes or `datasets` struct.

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
        return open_reference(str(source))
    if not source:
        raise ImageError("empty file (0 bytes)")
    return BytesIO(source)


@contextmanager
def _opened(source: ImageSource, max_pixels: int) -> Iterator[Image.Image]:
    if isinstance(source, Image.Image):
        _check_size(source, max_pixels)
        yield source
        return
    with open_file(source) as file:
        if max_pixels > (Image.MAX_IMAGE_PIXELS or max_pixels):
            Image.MAX_IMAGE_PIXELS = max_pixels  # the user's own limit is above that of Pillow
        try:
            image = Image.open(file, formats=FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ImageTooLargeError(
                f"too many pixels; the limit is {max_pixels / 1e6:g} megapixels"
            ) from error
        except Exception as error:
            raise ImageError(f"not a {FORMAT_NAMES} image") from error
        with image:
            _check_size(image, max_pixels)
            yield image


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    tags = getattr(image, "tag_v2", {})  # of a TIFF, whose tiles can be larger than the image
    tile = [tags.get(tag) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH)]
    match tile:
        case int(across), int(down) if across * down > max_pixels:
            width, height = across, down
    if width * height > max_pixels:
        raise ImageTooLargeError(f"{width} x {height} pixels; the limit is {max_pixels / 1e6:g} megapixels")


def _to_rgb(image: Image.Image, factor: int) -> Image.Image:
    """Convert to RGB over white, reduced by a whole factor; by strips, because each step makes a copy."""
    grey_range = _grey_range(image)
    width, height = (-(-side // factor) for side in image.size)
    rgb = Image.new("RGB", (width, height))
    for top, strip in _strips(image, factor):
        rgb.paste(_strip_to_rgb(strip, grey_range).reduce(factor), (0, top // factor))
    return rgb


def _strip_to_rgb(strip: Image.Image, grey_range: tuple[float, float] | None) -> Image.Image:
    if grey_range:
        low, high = grey_range
        values = (_finite(strip) - low) * (255.0 / max(high - low, 1e-12))
        strip = Image.fromarray(np.rint(values).astype(np.uint8))
    if strip.has_transparency_data:
        strip = strip.convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip)
    return strip.convert("RGB")


def _strips(image: Image.Image, factor: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield the first row of each strip, a multiple of `factor`, with the strip."""
    rows = factor * max(1, _STRIP // (image.width * factor))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _grey_range(image: Image.Image) -> tuple[float, float] | None:
    """Return the values of black and white of more than 8 bits: the range of the mode, else of the values."""
    if image.mode.startswith("I;16"):
        return 0.0, 65535.0
    if image.mode not in ("I", "F"):
        return None
    extremes = [(values.min(), values.max()) for values in (_finite(strip) for _, strip in _strips(image))]
    least, most = float(min(low for low, _ in extremes)), float(max(high for _, high in extremes))
    for ceiling in (1.0, 255.0) if image.mode == "F" else (255.0, 65535.0):
        if least >= 0 and most <= ceiling:
            return 0.0, ceiling
    return least, most


def _finite(image: Image.Image) -> np.ndarray:
    return np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
