"""A scene: things with attributes in a place, at a time, in some weather. It knows no words and no pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from itr_core.picturebook.ontology import KINDS, SIZES
from itr_core.picturebook.sprites import extent

HORIZON = 0.45
"""Bands of the sky lie above this height, all others below it."""

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) as shares of the picture, from its top left corner."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing. `x`: its centre; `y`: its feet (in the sky: its centre); shares from the top left corner.

    `flip`: it faces left. `on`: index of the thing it stands on, whose seat is then at `y`.
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
        return self.on is None and self.y < HORIZON

    @property
    def look(self) -> "Look":
        return Look(self.kind, self.colour, self.pattern, self.size, self.state)


class Look(NamedTuple):
    """All that can be said of a thing by itself; things of equal look are one group."""

    kind: str
    colour: str | None
    pattern: str
    size: str
    state: str | None


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture's whole truth. `seed` varies the backdrop only."""

    place: str
    time: str
    weather: str
    things: tuple[Thing, ...]
    seed: int = 0


def depth(y: float) -> float:
    """How large things look whose feet are at `y`: 0.8 far away, 1.1 close by.

    The range is narrow so that small, medium and big (0.66, 1, 1.4) stay apart wherever a thing stands.
    """
    return 0.8 + 0.3 * min(max((y - 0.52) / 0.43, 0.0), 1.0)


def box(thing: Thing, things: Sequence[Thing] = ()) -> Box:
    """Where `thing` is seen. `things`: the scene's, needed if it stands on one, whose depth counts."""
    feet = things[thing.on].y if thing.on is not None and things else thing.y
    scale = KINDS[thing.kind].height * SIZES[thing.size] * (1.0 if thing.in_sky else depth(feet))
    width, height = extent(thing.kind, thing.state)
    half, bottom = width * scale / 2, thing.y + (height * scale / 2 if thing.in_sky else 0.0)
    return thing.x - half, bottom - height * scale, thing.x + half, bottom


def nearness(thing: Thing, things: Sequence[Thing]) -> float:
    """The order of painting: the sky's first, then by the feet; what stands on a thing right after it."""
    if thing.on is not None:
        return things[thing.on].y + 1e-4
    return thing.y - 1.0 if thing.in_sky else thing.y
