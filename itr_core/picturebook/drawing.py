"""Scenes as pictures: the stage of the place and hour, the things on it from far to near, the weather in front.

The same scene gives the same bytes wherever resvg and Pillow are the same version: colours and edges are computed
by resvg's own rasteriser and by Pillow's C code, with no system fonts and no randomness.
"""

from functools import lru_cache

from PIL import Image

from itr_core.picturebook.backdrops import VARIANTS, backdrop, lit, overlay
from itr_core.picturebook.drawings import render, sprite
from itr_core.picturebook.ontology import PLACES
from itr_core.picturebook.scene import Scene, Thing, box

SHADE = (22, 22, 44)
MIRROR = Image.Transpose.FLIP_LEFT_RIGHT
RIPPLES = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 12"><g fill="none" stroke="#f2fbff" '
    'stroke-width="2.6" stroke-linecap="round"><path stroke-opacity=".75" d="M6 3q10-2.5 22 0t24 0t24 0t18 0"/>'
    '<path stroke-opacity=".45" d="M22 9.5q9-2 18 0M56 9q9-2 20 0"/></g></svg>'
)


def draw(scene: Scene, size: int = 224) -> Image.Image:
    """Return the scene as an RGB picture of size x size pixels. Deterministic."""
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
    """The sky first, then by where the feet are; what stands on a thing comes right after it."""

    def order(thing: Thing) -> tuple[bool, float, bool]:
        carrier = thing if thing.on is None else things[thing.on]
        return not thing.in_sky, carrier.y, thing.on is not None

    return sorted(things, key=order)


def _put(picture: Image.Image, scene: Scene, thing: Thing) -> None:
    size = picture.width
    left, top, right, bottom = (round(share * size) for share in box(thing, scene.things))
    shape = sprite(thing.kind, thing.state, thing.colour, thing.pattern, _quantised(bottom - top), thing.flip)
    left = (left + right - shape.width) // 2
    top = (top + bottom - shape.height) // 2 if thing.in_sky else bottom - shape.height
    colours = lit(shape, scene.place, scene.time, scene.weather)
    if thing.on is None and not thing.in_sky:
        if _in_water(scene.place, thing.y):
            _reflect(picture, colours, shape, left, bottom)
        else:
            shadow = _shadow(shape.width, scene.time)
            x, y = left + (shape.width - shadow.width) // 2, bottom - round(shadow.height * 0.55)
            picture.paste(SHADE, (x, y, x + shadow.width, y + shadow.height), shadow)
    picture.paste(colours, (left, top), shape)
    if thing.on is None and _in_water(scene.place, thing.y):
        ripples = _ripples(round(shape.width * 1.15))
        picture.paste(
            ripples, (left + (shape.width - ripples.width) // 2, bottom - ripples.height // 3), ripples
        )


def _quantised(height: int) -> int:
    """Round a height in pixels to 3 % or better, so that few different sizes need drawing and keeping."""
    step = max(1, height // 32)
    return max(1, round(height / step) * step)


def _in_water(place: str, feet: float) -> bool:
    far, near = PLACES[place].bands.get("water", (1.0, 0.0))
    return far - 0.01 <= feet <= near + 0.01


@lru_cache(maxsize=512)
def _shadow(width: int, time: str) -> Image.Image:
    """A soft ellipse (L) to lie under a thing `width` pixels wide."""
    strength = {"day": 0.42, "sunset": 0.42, "night": 0.5}[time]
    spot = Image.radial_gradient("L").point([round(max(0, 255 - 2 * i) * strength) for i in range(256)])
    wide = max(4, round(width * 1.12))
    return spot.resize((wide, max(3, round(wide**0.8 * 0.42))), Image.Resampling.BILINEAR)


@lru_cache(maxsize=256)
def _ripples(width: int) -> Image.Image:
    return render(RIPPLES, max(2, round(width * 0.12)))


def _reflect(
    picture: Image.Image, colours: Image.Image, shape: Image.Image, left: int, waterline: int
) -> None:
    """Mirror the lower part of a thing faintly in the water below it."""
    depth = max(2, shape.height // 3)
    lower = (0, shape.height - depth, shape.width, shape.height)
    upside_down = Image.Transpose.FLIP_TOP_BOTTOM
    mask = shape.getchannel("A").crop(lower).transpose(upside_down).point([i // 4 for i in range(256)])
    picture.paste(colours.crop(lower).transpose(upside_down), (left, waterline), mask)
