"""Backdrops: sky, place and weather of a scene, rendered once per combination and size and then cached.

Every file in `backdrops/` has 400 x 400 units. A shape is visible always or, if its class names a time, a
weather or a variant (v0, v1, v2), only then. `sky.svg` is behind all places; `data-sky="x y scale"` of a
place positions it in a window. A place has up to three groups, drawn in this order: `outside` (the view
through a window) and `scene` get the light of the time of day; `lights` shine at night.
"""

import re
from functools import cache, lru_cache
from pathlib import Path

from PIL import Image

from itr_core.picturebook.ontology import PLACES, TIMES, WEATHERS
from itr_core.picturebook.sprites import render

FOLDER = Path(__file__).with_name("backdrops")
VARIANTS = 3
GROUPS = ("outside", "scene", "lights")

# A light: saturation; gain of red, green, blue; offset of red, green, blue. Weather is applied after the
# time.
Light = tuple[float, float, float, float, float, float, float]
_PLAIN: Light = (1.0, 1.0, 1.0, 1.0, 0, 0, 0)
_HOURS: dict[str, Light] = {
    "day": _PLAIN,
    "sunset": (1.0, 0.98, 0.84, 0.76, 14, 2, 4),
    "night": (0.88, 0.44, 0.50, 0.62, 6, 10, 28),
}
_LAMPLIT: dict[str, Light] = {
    "day": _PLAIN,
    "sunset": (0.95, 1.0, 0.86, 0.72, 8, 0, 0),
    "night": (0.96, 0.86, 0.71, 0.53, 8, 2, 4),
}
_THINGS: dict[str, Light] = {
    "day": _PLAIN,
    "sunset": (1.0, 1.0, 0.91, 0.84, 6, 0, 0),
    "night": (1.05, 0.80, 0.80, 0.88, 0, 2, 8),
}
_THINGS_LAMPLIT: dict[str, Light] = {
    "day": _PLAIN,
    "sunset": (1.0, 1.0, 0.94, 0.88, 4, 0, 0),
    "night": (1.0, 0.90, 0.80, 0.68, 4, 0, 0),
}
_SKIES: dict[str, Light] = {
    "clear": _PLAIN,
    "cloudy": (0.72, 0.95, 0.96, 0.97, 0, 0, 2),
    "rain": (0.68, 0.85, 0.88, 0.93, 0, 0, 4),
    "snow": (0.75, 0.92, 0.94, 0.98, 4, 4, 6),
}
_SKIES_FOR_THINGS: dict[str, Light] = {
    "clear": _PLAIN,
    "cloudy": (0.97, 0.96, 0.96, 0.96, 0, 0, 2),
    "rain": (0.94, 0.92, 0.93, 0.95, 0, 0, 3),
    "snow": (0.97, 0.98, 0.98, 1.0, 2, 2, 3),
}


def _matrix(saturation: float, red: float, green: float, blue: float, *lifts: float) -> tuple[float, ...]:
    """Return Pillow's 12-number colour matrix (RGB -> RGB): saturation, then gain and offset per channel."""
    numbers: list[float] = []
    for channel, (gain, lift) in enumerate(zip((red, green, blue), lifts, strict=True)):
        mixed = [weight * (1 - saturation) for weight in (0.299, 0.587, 0.114)]
        mixed[channel] += saturation
        numbers += [gain * share for share in mixed] + [lift]
    return tuple(numbers)


def _relight(image: Image.Image, *lights: Light) -> Image.Image:
    """Apply lights to the RGB part of `image`, one after the other."""
    image = image.convert("RGB")
    for light in lights:
        if light != _PLAIN:
            image = image.convert("RGB", _matrix(*light))
    return image


def lit(image: Image.Image, place: str, time: str, weather: str) -> Image.Image:
    """Return the colours (RGB) of a thing in the light of the scene, weaker than for the backdrop."""
    if PLACES[place].indoors:
        return _relight(image, _THINGS_LAMPLIT[time])
    return _relight(image, _THINGS[time], _SKIES_FOR_THINGS[weather])


@cache
def _text(name: str) -> str:
    return (FOLDER / f"{name}.svg").read_text(encoding="utf-8")


@cache
def _sky(place: str) -> str:
    """Return the sky of a place, moved into its window if it has one."""
    window = re.search(r'data-sky="(\S+) (\S+) (\S+)"', _text(place))
    if window is None:
        return _text("sky")
    x, y, scale = window.groups()
    moved = f'<g transform="translate({x} {y}) scale({scale})">'
    return _text("sky").replace("</defs>", f"</defs>{moved}").replace("</svg>", "</g></svg>")


def _layer(text: str, group: str, time: str, weather: str, variant: int, size: int) -> Image.Image:
    """Render one group of a backdrop (RGBA, size x size) for a time, weather and variant."""
    hidden = _classes(text) - {time, weather, group, f"v{variant}"}
    return _drawn(text, frozenset(hidden), size)


@cache
def _classes(text: str) -> frozenset[str]:
    """Return the class names in the SVG text that decide when a shape is visible."""
    names = {*TIMES, *WEATHERS, *GROUPS, *(f"v{i}" for i in range(VARIANTS))}
    return frozenset(names.intersection(" ".join(re.findall(r'class="([^"]*)"', text)).split()))


@lru_cache(maxsize=512)
def _drawn(text: str, hidden: frozenset[str], size: int) -> Image.Image:
    """Render with hidden classes; cached, since many times and weathers differ only in their light."""
    return render(text, size, ",".join(f".{name}" for name in sorted(hidden)) + "{display:none}")


@lru_cache(maxsize=64)
def overlay(time: str, weather: str, size: int) -> Image.Image | None:
    """Return rain or snow in front of the scene (RGBA, size x size), or None."""
    if weather not in ("rain", "snow"):
        return None
    drops = _layer(_text("weather"), "scene", time, weather, 0, size)
    result = _relight(drops, _THINGS[time])
    result.putalpha(drops.getchannel("A"))
    return result


@lru_cache(maxsize=384)
def backdrop(place: str, time: str, weather: str, variant: int, size: int) -> Image.Image:
    """Return the backdrop (RGB, size x size). It is cached: copy it before drawing on it."""
    now = (time, weather, variant, size)
    text, indoors = _text(place), PLACES[place].indoors
    picture = _layer(_sky(place), "scene", *now).convert("RGB")
    daylight = (_HOURS[time], _SKIES[weather])
    if indoors:
        outside = _layer(text, "outside", *now)
        picture.paste(_relight(outside, *daylight), mask=outside)
        falling = overlay(time, weather, size)
        if falling:
            picture.paste(falling, mask=falling)
    scene = _layer(text, "scene", *now)
    picture.paste(_relight(scene, *((_LAMPLIT[time],) if indoors else daylight)), mask=scene)
    if time == "night":
        lights = _layer(text, "lights", *now)
        picture.paste(lights, mask=lights)
    return picture
