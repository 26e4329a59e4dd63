"""A scene: things with attributes in a place, at a time, in some weather; without words and pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from itr_core.picturebook.ontology import KINDS, SIZES
from itr_core.picturebook.sprites import extent

HORIZON = 0.45
"""Height that separates the bands of the sky (above) from all others (below)."""

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) as fractions of the image size, from its top left corner."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing.

    `x` is its centre and `y` its feet (in the sky: its centre), as fractions from the top left corner. With
    `flip` it faces left. `on` is the index of the thing it stands on, whose seat is at `y`.
    """

    kind: str
    colour: str | None
    pattern: str
    size: str
    state: str | None
    x: float
    y: float
    flip: bool = False
    on: int | None = None

    @property
    def in_sky(self) -> bool:
        """Whether it is in the sky."""
        return self.on is None and self.y < HORIZON

    @property
    def look(self) -> "Look":
        """Its kind and attributes."""
        return Look(self.kind, self.colour, self.pattern, self.size, self.state)


class Look(NamedTuple):
    """Kind and attributes of a thing; things of equal look form a group."""

    kind: str
    colour: str | None
    pattern: str
    size: str
    state: str | None


@dataclass(frozen=True, slots=True)
class Scene:
    """The full content of an image. `seed` varies only the backdrop."""

    place: str
    time: str
    weather: str
    things: tuple[Thing, ...]
    seed: int = 0


def depth(y: float) -> float:
    """Return the scale of things whose feet are at `y`: 0.8 far away, 1.1 close by.

    The range is narrow, so that small, medium and big (0.66, 1, 1.4) differ at every depth.
    """
    return 0.8 + 0.3 * min(max((y - 0.52) / 0.43, 0.0), 1.0)


def box(thing: Thing, things: Sequence[Thing] = ()) -> Box:
    """Return the bounding box of `thing`. If it stands on another thing, its depth is taken from `things`."""
    feet = things[thing.on].y if thing.on is not None and things else thing.y
    scale = KINDS[thing.kind].height * SIZES[thing.size] * (1.0 if thing.in_sky else depth(feet))
    width, height = extent(thing.kind, thing.state)
    half, bottom = width * scale / 2, thing.y + (height * scale / 2 if thing.in_sky else 0.0)
    return thing.x - half, bottom - height * scale, thing.x + half, bottom


def nearness(thing: Thing, things: Sequence[Thing]) -> float:
    """Return the drawing order: the sky first, then by feet; a thing on another one right after it."""
    if thing.on is not None:
        return things[thing.on].y + 1e-4
    return thing.y - 1.0 if thing.in_sky else thing.y
