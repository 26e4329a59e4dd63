"""Rendering of scenes: the backdrop, the things from far to near, and the weather in front.

The same scene gives the same bytes with the same versions of resvg and Pillow: rasterisation by resvg and
integer pasting by Pillow use no system fonts and no randomness. One limitation: lights are float32 colour
matrices in C code of Pillow, so that a build that fuses multiply and add may differ by 1 of 255.
"""

from functools import lru_cache

from PIL import Image, ImageChops

from itr_core.picturebook.backdrops import VARIANTS, backdrop, lit, overlay
from itr_core.picturebook.ontology import PLACES
from itr_core.picturebook.scene import Scene, Thing, box
from itr_core.picturebook.sprites import render, sprite

SHADE = (22, 22, 44)
MIRROR, UPSIDE_DOWN = Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM
RIPPLES = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 24">
<g fill="none" stroke="#f2fbff" stroke-width="5" stroke-linecap="round">
<path stroke-opacity=".75" d="M6 5q24-5 47 0t47 0t47 0t47 0"/>
<path stroke-opacity=".45" d="M44 18q18-4 36 0M112 17q18-4 40 0"/></g></svg>"""


def draw(scene: Scene, size: int = 224) -> Image.Image:
    """Render a scene to an RGB image of size x size pixels. Deterministic."""
    seed = scene.seed
    stage = backdrop(scene.place, scene.time, scene.weather, seed % VARIANTS, size)
    picture = stage.transpose(MIRROR) if seed // VARIANTS % 2 else stage.copy()
    for thing in _far_to_near(scene.things):
        _put(picture, scene, thing)
    falling = overlay(scene.time, scene.weather, size)
    if falling and not PLACES[scene.place].indoors:
        picture.paste(falling, mask=falling)
    return picture


def _far_to_near(things: tuple[Thing, ...]) -> list[Thing]:
    """Sort things: the sky first, then by feet; a thing on another one right after it."""

    def order(thing: Thing) -> tuple[bool, float, bool]:
        carrier = thing if thing.on is None else things[thing.on]
        return not thing.in_sky, carrier.y, thing.on is not None

    return sorted(things, key=order)


def _put(picture: Image.Image, scene: Scene, thing: Thing) -> None:
    size = picture.width
    left, top, right, bottom = (round(share * size) for share in box(thing, scene.things))
    look = (thing.kind, thing.state, thing.colour, thing.pattern)
    shape = sprite(*look, max(1, bottom - top), thing.flip, glowing=scene.time == "night")
    left = (left + right - shape.width) // 2
    top = (top + bottom - shape.height) // 2 if thing.in_sky else bottom - shape.height
    colours = lit(shape, scene.place, scene.time, scene.weather)
    afloat = thing.on is None and _in_water(scene.place, thing.y)
    if afloat:
        _reflect(picture, colours, shape, left, bottom)
    elif thing.on is None and not thing.in_sky:
        shadow = _shadow(shape.width)
        x, y = left + (shape.width - shadow.width) // 2, bottom - round(shadow.height * 0.55)
        picture.paste(SHADE, (x, y, x + shadow.width, y + shadow.height), shadow)
    picture.paste(colours, (left, top), shape)
    if afloat:
        ripples = _ripples(round(shape.width * 1.15), max(3, size // 40))
        light = lit(ripples, scene.place, scene.time, scene.weather)
        picture.paste(
            light, (left + (shape.width - ripples.width) // 2, bottom - ripples.height // 3), ripples
        )


def _in_water(place: str, feet: float) -> bool:
    far, near = PLACES[place].bands.get("water", (1.0, 0.0))
    return far - 0.01 <= feet <= near + 0.01


@lru_cache(maxsize=512)
def _shadow(width: int) -> Image.Image:
    """Return a soft ellipse (mode L) as the shadow of a thing of `width` pixels."""
    spot = Image.radial_gradient("L").point([max(0, 255 - 2 * i) * 7 // 16 for i in range(256)])
    wide = max(4, round(width * 1.12))
    return spot.resize((wide, max(3, round(wide**0.8 * 0.42))), Image.Resampling.BILINEAR)


@lru_cache(maxsize=512)
def _ripples(width: int, height: int) -> Image.Image:
    return render(RIPPLES, 48).resize((max(2, width), height), Image.Resampling.BOX)


def _reflect(
    picture: Image.Image, colours: Image.Image, shape: Image.Image, left: int, waterline: int
) -> None:
    """Draw the reflection of the lower part of a thing in water, fading downwards."""
    depth = max(1, shape.height * 2 // 5)
    lower = (0, shape.height - depth, shape.width, shape.height)
    below = colours.crop(lower).transpose(UPSIDE_DOWN)
    fade = Image.linear_gradient("L").point([(255 - i) * 3 // 8 for i in range(256)]).resize(below.size)
    mask = ImageChops.multiply(shape.getchannel("A").crop(lower).transpose(UPSIDE_DOWN), fade)
    picture.paste(below, (left, waterline), mask)
