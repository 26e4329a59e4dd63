"""Every odd image decodes to the pixels it shows; everything else is an ImageError, and cheap."""

import io
import os
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from itr_core.errors import ImageError
from itr_core.pairs import decode_image
from itr_core.pairs.decoding import FORMATS, check_image, decode_upload

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def scene(size: tuple[int, int] = (48, 32)) -> Image.Image:
    """Smooth, and different in each corner, so that any turn or flip shows."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    return Image.fromarray(np.stack([x * 5, y * 7, (x + y) * 2], axis=-1).astype(np.uint8))


def noise(size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def assert_close(found: Image.Image, wanted: Image.Image, tolerance: float = 3.0) -> None:
    assert found.mode == "RGB"
    assert found.size == wanted.size
    difference = np.abs(np.asarray(found, np.float64) - np.asarray(wanted.convert("RGB"), np.float64))
    assert difference.mean() < tolerance


def grey(data: bytes) -> list[int]:
    image = decode_image(data)
    pixels = np.asarray(image)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0].ravel().tolist()


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_from_bytes_path_and_struct(form: str, tmp_path: Path) -> None:
    data = encoded(scene(), form)
    path = tmp_path / "image"
    path.write_bytes(data)
    assert_close(decode_image(data), scene(), tolerance=12 if form == "GIF" else 4)
    for source in (path, str(path), {"bytes": data, "path": "gone.jpg"}, {"bytes": None, "path": str(path)}):
        assert decode_image(source).tobytes() == decode_image(data).tobytes()


def test_a_pil_image_is_converted_and_left_as_it_was() -> None:
    image = scene().convert("P")
    before = image.copy()
    assert decode_image(image).mode == "RGB"
    assert image == before
    rgb = scene()
    assert decode_image(rgb) is not rgb


# EXIF orientation: what was done to the picture, and so what the stored pixels look like (EXIF 2.32, 4.6.4).
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_exif_orientation_makes_the_picture_upright(form: str, orientation: int) -> None:
    turn = STORED[orientation]
    stored = scene() if turn is None else scene().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if form == "WEBP" else {"quality": 95} if form == "JPEG" else {}
    # As bytes, because pillow-heif stores the orientation of a HEIC file only then.
    assert_close(decode_image(encoded(stored, form, exif=exif.tobytes(), **options)), scene(), tolerance=5)


def test_damaged_exif_costs_nothing_but_the_orientation() -> None:
    data = encoded(scene(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12" * 7)
    assert_close(decode_image(data), scene(), tolerance=4)


def test_metadata_is_dropped() -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    image = decode_image(encoded(scene(), "JPEG", exif=exif, comment=b"private", dpi=(300, 300)))
    assert image.info == {}
    assert dict(image.getexif()) == {}
    assert b"camera" not in encoded(image, "JPEG")


def test_cmyk_jpeg_has_its_colours() -> None:
    assert_close(
        decode_image(encoded(Image.new("RGB", (16, 16), RED).convert("CMYK"), "JPEG")),
        Image.new("RGB", (16, 16), RED),
    )


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(form: str) -> None:
    values = np.array([[0, 257, 256 * 128, 65535]], dtype=np.uint16)
    assert grey(encoded(Image.fromarray(values), form)) == [0, 1, 128, 255]


def test_thirty_two_bit_grey_and_float_take_the_range_they_have() -> None:
    def tiff(values: list[float], kind: type) -> bytes:
        return encoded(Image.fromarray(np.array([values], dtype=kind)), "TIFF")

    assert grey(tiff([0, 100, 255], np.int32)) == [0, 100, 255]
    assert grey(tiff([0, 32768, 65535], np.int32)) == [0, 128, 255]
    assert grey(tiff([-1000, 0, 1000], np.int32)) == [0, 128, 255]
    assert grey(tiff([0.0, 0.5, 1.0], np.float32)) == [0, 128, 255]
    assert grey(tiff([0.0, 100.0, 255.0], np.float32)) == [0, 100, 255]
    assert grey(tiff([2000.0, 3000.0, 4000.0], np.float32)) == [0, 128, 255]
    assert grey(tiff([float("nan"), 1.0], np.float32)) == [0, 255]
    assert grey(tiff([7000.0, 7000.0], np.float32)) == [0, 0]


def test_one_bit_and_grey() -> None:
    assert grey(encoded(Image.fromarray(np.array([[False, True]])))) == [0, 255]
    assert grey(encoded(Image.fromarray(np.array([[7, 200]], dtype=np.uint8)))) == [7, 200]


def test_alpha_is_composited_over_white() -> None:
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((255, 128, 0)):
        image.putpixel((x, 0), (*BLUE, alpha))
    found = decode_image(encoded(image))
    assert [found.getpixel((x, 0)) for x in range(3)] == [BLUE, (127, 127, 255), WHITE]

    grey_alpha = Image.new("LA", (1, 1), (0, 64))
    assert decode_image(encoded(grey_alpha)).getpixel((0, 0)) == (191, 191, 191)


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_a_transparent_palette_colour_is_white(form: str) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putpixel((1, 0), 1)
    found = decode_image(encoded(image, form, transparency=0))
    assert [found.getpixel((x, 0)) for x in range(2)] == [WHITE, GREEN]


def test_a_transparent_colour_key_is_white() -> None:
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), GREEN)
    found = decode_image(encoded(image, transparency=RED))
    assert [found.getpixel((x, 0)) for x in range(2)] == [WHITE, GREEN]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_animations_show_their_first_frame(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=50, **options)
    assert sum(1 for _ in ImageSequence.Iterator(Image.open(io.BytesIO(data)))) == 3
    assert decode_image(data).getpixel((4, 4)) == RED


def test_a_phone_photo_with_a_second_picture_shows_the_first() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    data = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert_close(decode_image(data), frames[0])


def test_one_pixel_is_an_image() -> None:
    assert decode_image(encoded(Image.new("RGB", (1, 1), RED))).getpixel((0, 0)) == RED


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_truncated_files_are_errors_not_grey_halves(form: str, kept: float) -> None:
    data = encoded(noise(), form)
    with pytest.raises(ImageError):
        decode_image(data[: int(len(data) * kept)])


def test_a_progressive_jpeg_cut_short_is_an_error() -> None:
    data = encoded(noise(), "JPEG", progressive=True)
    with pytest.raises(ImageError, match="truncated"):
        decode_image(data[: len(data) // 2])


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", body)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def webp_canvas(width: int, height: int) -> bytes:
    """An animation of two small frames on a canvas that says it is large."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    data = bytearray(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    at = data.index(b"VP8X") + 12
    data[at : at + 6] = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return bytes(data)


@pytest.mark.parametrize(
    "make",
    [
        lambda: encoded(Image.new("1", (20_000, 20_000))),
        lambda: png_header(10_000, 5_001),
        lambda: png_header(2**31 - 1, 2**31 - 1),
        lambda: webp_canvas(16_383, 16_383),
    ],
    ids=["20,000 x 20,000", "just over", "absurd", "webp"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bombs_are_refused_by_their_header(make: Callable[[], bytes]) -> None:
    data = make()
    tracemalloc.start()
    before = time.process_time()
    with pytest.raises(ImageError, match="pixels"):
        decode_image(data)
    assert time.process_time() - before < 0.5
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_the_limit_is_the_callers_and_global_state_stays() -> None:
    limit = Image.MAX_IMAGE_PIXELS
    data = encoded(scene())
    assert decode_image(data, max_pixels=48 * 32).size == (48, 32)
    for source in (data, scene()):
        with pytest.raises(ImageError, match=r"48 x 32 pixels; the limit is 0.001535 megapixels"):
            decode_image(source, max_pixels=48 * 32 - 1)
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    "data",
    [
        b"just some words, saved as photo.jpg",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"P6\n1 1\n255\n\xff\x00\x00",
        encoded(Image.new("RGB", (16, 16)), "ICO"),
    ],
    ids=["text", "svg", "eps", "ppm", "ico"],
)
def test_other_formats_are_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="not a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC image"):
        decode_image(data)


def test_missing_empty_and_null(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    for source, message in (
        (tmp_path / "gone.jpg", r"gone\.jpg: cannot be read \(No such file"),
        (tmp_path, "cannot be read"),
        ("nul\0.jpg", "cannot be read"),
        (tmp_path / "empty.jpg", r"empty\.jpg: empty file \(0 bytes\)"),
        (b"", "empty file"),
        ({"bytes": None, "path": None}, "no image in this row"),
    ):
        with pytest.raises(ImageError, match=message):
            decode_image(source)


def test_check_image_reads_the_header_only(tmp_path: Path) -> None:
    data = encoded(noise(), "JPEG")
    (tmp_path / "cut.jpg").write_bytes(data[:700])
    assert check_image(tmp_path / "cut.jpg") == (64, 64)


def test_min_side_shrinks_a_large_image_but_never_below() -> None:
    image = scene((48, 32)).resize((960, 640))
    data = encoded(image, "JPEG", quality=95)
    small = decode_image(data, min_side=100)
    assert min(small.size) >= 100
    assert small.size[0] < 960
    assert_close(small, image.resize(small.size))
    assert decode_image(data, min_side=641).size == (960, 640)
    for source in (encoded(image), Image.open(io.BytesIO(data))):
        assert_close(decode_image(source, min_side=100), image.resize((160, 107)))


@given(st.binary(max_size=200))
def test_random_bytes_are_image_errors(data: bytes) -> None:
    with pytest.raises(ImageError):
        decode_image(data)


@pytest.mark.parametrize("form", FORMATS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_damaged_images_decode_or_are_image_errors(form: str, data: st.DataObject) -> None:
    content = bytearray(encoded(scene(), form))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=12)):
        content[place] = data.draw(st.integers(0, 255))
    try:
        image = decode_image(bytes(content), max_pixels=1_000_000)
    except ImageError:
        return
    assert image.mode == "RGB"


def tiff_tile(side: int) -> bytes:
    """A TIFF image of 16 x 16 pixels that is stored in one much larger tile."""
    data = zlib.compress(bytes(1000))
    tags = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return (
        struct.pack("<2sHI", b"II", 42, 8 + len(data))
        + data
        + struct.pack("<H", len(tags))
        + entries
        + bytes(4)
    )


def test_a_tile_larger_than_its_image_is_refused() -> None:
    with pytest.raises(ImageError, match="40000 x 40000 pixels; the limit is 50 megapixels"):
        decode_image(tiff_tile(40_000))
    with pytest.raises(ImageError, match="truncated or damaged"):
        decode_image(tiff_tile(64))


def test_an_understated_heic_size_is_no_way_around_the_limit() -> None:
    data = bytearray(encoded(Image.new("RGB", (2000, 2000)), "HEIF"))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 64, 64)
    with pytest.raises(ImageError):
        decode_image(bytes(data), max_pixels=1_000_000)


def test_the_users_own_limit_can_exceed_that_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match=r"the limit is 0\.0001 megapixels"):
        decode_image(encoded(scene()), max_pixels=100)
    assert decode_image(encoded(scene()), max_pixels=2_000).size == (48, 32)


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match=r"cannot be read \(not a regular file\)"):
        decode_image(tmp_path / "pipe.jpg")


def test_uploads_have_a_lower_limit_and_are_reduced() -> None:
    assert decode_upload(encoded(Image.new("L", (4000, 3000))), min_side=1000).size == (1334, 1000)
    with pytest.raises(ImageError, match="5001 x 5000 pixels; the limit is 25 megapixels"):
        decode_upload(png_header(5001, 5000), min_side=1000)


_PEAK = """
import io, resource, sys
from itr_core.pairs.decoding import UPLOAD_PIXELS, decode_image
from PIL import Image
decode_image(Image.new("RGB", (8, 8)))
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
image = decode_image(sys.stdin.buffer.read(), UPLOAD_PIXELS, min_side=1024)
print(image.mode, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux only")
@pytest.mark.parametrize("kind", ["RGBA PNG", "P GIF", "I;16 PNG", "F TIFF", "RGB JPEG"])
def test_a_small_file_with_many_pixels_takes_a_bounded_memory(kind: str) -> None:
    mode, form = kind.split()
    image = Image.new(mode, (5000, 5000))
    options = {"compression": "tiff_adobe_deflate"} if form == "TIFF" else {}
    data = encoded(image, form, **options)
    assert len(data) < 500_000
    found = subprocess.run([sys.executable, "-c", _PEAK], input=data, capture_output=True, check=True).stdout
    mode, megabytes = found.decode().split()
    assert mode == "RGB"
    assert int(megabytes) < 250


def png_with(kind: bytes, body: bytes) -> bytes:
    """A small PNG image with another chunk after its header."""
    data, chunk = encoded(Image.new("RGB", (16, 16))), kind + body
    return data[:33] + struct.pack(">I", len(body)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def exif_of_huge_arrays() -> bytes:
    tags = b"".join(struct.pack("<HHII", 0x9000 + tag, 1, 0x7FFFFFFF, 8) for tag in range(4000))
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 4000) + tags


@pytest.mark.parametrize(
    "data",
    [
        png_with(b"iCCP", b"profile\0\0" + zlib.compress(bytes(100_000_000), 9)),
        png_with(b"zTXt", b"comment\0\0" + zlib.compress(bytes(100_000_000), 9)),
        png_with(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b'tiff:Orientation="' * 50_000),
        encoded(Image.new("RGB", (16, 16)), "JPEG", exif=exif_of_huge_arrays()),
        encoded(Image.new("RGB", (16, 16)), "PNG", exif=exif_of_huge_arrays() * 20),
    ],
    ids=["colour profile", "comment", "XMP", "EXIF of JPEG", "EXIF of PNG"],
)
@pytest.mark.filterwarnings("ignore")
def test_metadata_cannot_take_memory_or_time(data: bytes) -> None:
    tracemalloc.start()
    before = time.process_time()
    with suppress(ImageError):
        assert decode_image(data).size == (16, 16)
    assert time.process_time() - before < 1
    assert tracemalloc.get_traced_memory()[1] < 30_000_000
    tracemalloc.stop()
