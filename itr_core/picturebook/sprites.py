"""Sprites: vector drawings of the kinds, rendered in any colour, pattern and size.

A drawing is `drawings/<kind>.svg` (the first or only state) or `drawings/<kind>.<state>.svg`. 100 units of
its viewBox are the height of the kind, so a lower state (a sleeping dog) has a lower viewBox. Shapes of the
classes `main`, `shade` and `light` get the colour of the thing, `pattern` gets stripes or spots, and `glow`
shines at night.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path

import resvg_py
from PIL import Image, ImageColor, ImageDraw, ImageFont

from itr_core.errors import PairscopeError, did_you_mean
from itr_core.picturebook.ontology import COLOURS, KINDS

FOLDER = Path(__file__).with_name("drawings")
GLOW = ".glow{fill:#ffe08a}"
CREAM, INK = (251, 246, 234), (70, 64, 74)
VERTICAL_STRIPES = {"cat", "fish", "ball", "hot-air balloon", "sofa", "bed", "umbrella", "tent", "kite"}

Rgb = tuple[int, ...]


class DrawingError(PairscopeError):
    """A kind or state has no drawing, or its drawing has an unexpected form."""


@cache
def svg(kind: str, state: str | None = None) -> str:
    """Return the SVG text of a drawing; the first state and unknown states use the plain file."""
    states = list(KINDS[kind].states) if kind in KINDS else []
    name = kind if state is None or state in states[:1] else f"{kind}.{state}"
    path = FOLDER / f"{name}.svg"
    if not path.is_file():
        known = [p.stem for p in FOLDER.glob("*.svg")]
        raise DrawingError(f"No drawing {path.name!r} in {FOLDER}.{did_you_mean(name, known)}")
    return path.read_text(encoding="utf-8")


@cache
def extent(kind: str, state: str | None = None) -> tuple[float, float]:
    """Return width and height of the drawing relative to the height of the kind (1 in its first state)."""
    match = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg(kind, state))
    if match is None:
        raise DrawingError(f"The drawing of {kind!r} ({state}) needs a viewBox that starts with '0 0'.")
    return float(match[1]) / 100, float(match[2]) / 100


def _mix(a: Rgb, b: Rgb, share: float) -> Rgb:
    """Interpolate from colour `a` to `b` by the fraction `share`."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))


def _hex(colour: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _pattern(kind: str, pattern: str, colour: Rgb) -> str:
    """Return an SVG pattern element in a tone that contrasts with `colour`; coarser for small kinds."""
    light = (299 * colour[0] + 587 * colour[1] + 114 * colour[2]) / 255_000
    tone = _hex(CREAM if light < 0.72 else INK if light > 0.9 else _mix(colour, (96, 44, 24), 0.62))
    scale = max(1.0, (0.24 / KINDS[kind].height) ** 0.5)
    if pattern == "striped":
        turn = 90 if kind in VERTICAL_STRIPES else 0
        size, marks = (18, 18), f'<rect width="18" height="7.6" fill="{tone}"/>'
    else:
        turn, size = 20, (28, 28)
        dots = ((7, 8, 5.8), (20, 20, 5), (18.5, 4.5, 2.4))
        marks = "".join(f'<circle cx="{x}" cy="{y}" r="{r}" fill="{tone}"/>' for x, y, r in dots)
    return (
        f'<pattern id="pattern" patternUnits="userSpaceOnUse" width="{size[0]}" height="{size[1]}" '
        f'patternTransform="scale({scale:.3f}) rotate({turn})">{marks}</pattern>'
    )


def styled_svg(kind: str, state: str | None, colour: str | None, pattern: str = "plain") -> tuple[str, str]:
    """Return the SVG text of a drawing with its pattern, and the style sheet with its colours."""
    text, style = svg(kind, state), ""
    if colour is not None:
        main = ImageColor.getrgb(COLOURS[colour])
        shade, light = _mix(main, (24, 16, 48), 0.2), _mix(main, (255, 252, 240), 0.28)
        style = f".main{{fill:{_hex(main)}}}.shade{{fill:{_hex(shade)}}}.light{{fill:{_hex(light)}}}"
        if pattern != "plain":
            style += ".pattern{fill:url(#pattern)}"
            text = text.replace(">", f"><defs>{_pattern(kind, pattern, main)}</defs>", 1)
    return text, style


def render(text: str, height: int, style: str = "") -> Image.Image:
    """Render SVG text to an RGBA image of `height` pixels, without system fonts to be reproducible."""
    png = resvg_py.svg_to_bytes(
        svg_string=text, height=height, style_sheet=style or None, skip_system_fonts=True
    )
    return Image.open(BytesIO(png)).convert("RGBA")


@lru_cache(maxsize=4_096)
def _master(
    kind: str, state: str | None, colour: str | None, pattern: str, height: int, glowing: bool
) -> Image.Image:
    text, style = styled_svg(kind, state, colour, pattern)
    return render(text, height, style + GLOW if glowing else style)


def sprite(
    kind: str,
    state: str | None = None,
    colour: str | None = None,
    pattern: str = "plain",
    height_px: int = 100,
    flip: bool = False,
    glowing: bool = False,
) -> Image.Image:
    """Return a thing as an RGBA image of `height_px` pixels, facing right, or left with `flip`.

    It is rendered at the next power of two and scaled down, so that few of the many heights are rendered.
    """
    glowing = glowing and 'class="glow"' in svg(kind, state)
    master = _master(kind, state, colour, pattern, 1 << (height_px - 1).bit_length(), glowing)
    width = max(1, round(master.width * height_px / master.height))
    image = master.resize((width, height_px), Image.Resampling.HAMMING)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else image


def looks() -> Iterator[tuple[str, str | None, str | None, str]]:
    """Yield (kind, state, colour, pattern): every kind in all states and patterns and up to three colours."""
    for kind in KINDS.values():
        colours: list[str | None] = [*kind.colours] or [None]
        states: list[str | None] = [*kind.states] or [None]
        patterns = [*kind.patterns]
        for i in range(max(len(states), len(patterns), min(3, len(colours)))):
            pattern = patterns[i % len(patterns)]
            yield kind.name, states[i % len(states)], colours[i % len(colours)], pattern


def contact_sheet(columns: int = 16, cell: int = 112) -> Image.Image:
    """Return an RGB image of every kind in its states, patterns and some colours, with names."""
    all_looks = list(looks())
    sheet = Image.new("RGB", (columns * cell, -(-len(all_looks) // columns) * (cell + 24)), "#dfe9dc")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    for i, (kind, state, colour, pattern) in enumerate(all_looks):
        width, height = extent(kind, state)
        scale = (cell - 20) / max(width, height, 1.0)
        picture = sprite(kind, state, colour, pattern, round(height * scale))
        left, floor = i % columns * cell, i // columns * (cell + 24) + cell - 8
        sheet.paste(picture, (left + (cell - picture.width) // 2, floor - picture.height), picture)
        look = " ".join(word for word in (colour, pattern, state) if word and word != "plain")
        middle = left + cell // 2
        pen.text((middle, floor + 4), kind, "#26332a", font, anchor="ma")
        pen.text((middle, floor + 15), look, "#6b7a6e", font, anchor="ma")
    return sheet
