"""A scene as the browser needs it: its picture, and of each thing the box, words, drawing and options."""

import base64
from io import BytesIO
from typing import Any
from urllib.parse import quote

from itr_core.picturebook.captions import canonical_caption
from itr_core.picturebook.ontology import KINDS, PLACES, TIMES, WEATHERS
from itr_core.picturebook.rendering import draw
from itr_core.picturebook.sampling import MAX_THINGS
from itr_core.picturebook.scene import Scene, Thing, box
from itr_core.picturebook.scene_rules import MOST_ALIKE, can_hold, name_of, sizes_of
from itr_core.picturebook.semantics import Meaning, Variable
from itr_core.picturebook.sprites import styled_svg
from ui.web.stage.actions import alike

SIDE = 448
"""Side of the shown picture in pixels; the model sees one of 224, as those of the gallery."""
_THIRDS = ("left", "middle", "right")


def drawn(scene: Scene) -> dict[str, Any]:
    """Return the picture (WebP in a data URL), its description, its things and what can be chosen."""
    file = BytesIO()
    draw(scene, SIDE).save(file, "WEBP", quality=85, method=0)
    words = [_words(thing) for thing in scene.things]
    setting = canonical_caption(Meaning(place=scene.place, time=scene.time, weather=scene.weather))
    place = PLACES[scene.place]
    return {
        "picture": f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}",
        "alt": f"Drawing {setting}: {', '.join(words)}.",
        "things": [_thing(scene, i, words[i]) for i in range(len(scene.things))],
        "setting": {
            "place": _options(list(PLACES), scene.place),
            "time": _options(list(TIMES), scene.time),
            "weather": _options([name for name in WEATHERS if name in place.weathers], scene.weather),
        },
        "kinds": sorted(kind.name for kind in KINDS.values() if scene.place in kind.places),
        "full": len(scene.things) == MAX_THINGS,
    }


def _thing(scene: Scene, index: int, words: str) -> dict[str, Any]:
    thing = scene.things[index]
    kind = KINDS[thing.kind]
    where = _THIRDS[min(2, int(thing.x * 3))]
    on = "" if thing.on is None else f", on {name_of(scene.things[thing.on])}"
    others = enumerate(scene.things)
    holders = {i: name_of(other) for i, other in others if i != index and can_hold(other, thing)}
    return {
        "words": words,
        "label": f"{words}, {where}{on}",
        "box": box(thing, scene.things),
        "x": thing.x,
        "y": thing.y,
        "drawing": _drawing(thing),
        "flip": thing.flip,
        "attributes": {
            "colour": _options(list(kind.colours), thing.colour),
            "pattern": _options(list(kind.patterns), thing.pattern),
            "size": _options(sizes_of(kind), thing.size),
            "state": _options(list(kind.states), thing.state),
        },
        "number": alike(scene, index),
        "most": min(MOST_ALIKE, MAX_THINGS - len(scene.things) + alike(scene, index)),
        "on": thing.on,
        "holders": [{"index": i, "name": name} for i, name in holders.items()],
    }


def _options(values: list[str], chosen: str | None) -> dict[str, Any]:
    return {"values": values, "chosen": chosen}


def _words(thing: Thing) -> str:
    """Return the thing in words: "a small white cow lying down"."""
    variable = Variable(
        thing.kind,
        colour=thing.colour,
        pattern=None if thing.pattern == "plain" else thing.pattern,
        size=None if thing.size == "medium" else thing.size,
        state=thing.state if len(KINDS[thing.kind].states) > 1 else None,
    )
    return canonical_caption(Meaning((variable,)))


def _drawing(thing: Thing) -> str:
    """Return the vector drawing of a thing in a data URL, to be shown while it is dragged."""
    svg, style = styled_svg(thing.kind, thing.state, thing.colour, thing.pattern)
    return f"data:image/svg+xml,{quote(svg.replace('>', f'><style>{style}</style>', 1))}"
