"""What an address of the Compare page asks for."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode

from itr_core.errors import QueryError
from ui.web.search.picture_box import OWN_PICTURE

MODELS = range(2, 7)
"""Numbers of models that are compared."""
COUNT, MOST = 12, 48
"""Pictures per model: default and limit."""
_SEED = re.compile(r"\d{1,6}")


@dataclass(frozen=True)
class Request:
    """A comparison.

    Attributes:
        words: the query, if it is a text.
        item: the query, if it is a picture of the gallery.
        scene: the query, if it is the picture of a scene (`itr_core.picturebook.scene_code`).
        own: whether the query is the visitor's picture.
        names: names of the galleries to compare.
        count: pictures per model.
        blind: seed of the order of the columns in a blind comparison; "" if names are shown.
        vote: what the visitor chose in a blind comparison: number of a column from 0, "none", or "" before.
    """

    words: str
    item: str
    scene: str
    own: bool
    names: list[str]
    count: int = COUNT
    blind: str = ""
    vote: str = ""

    @property
    def hidden(self) -> bool:
        """Whether names and truth are hidden."""
        return bool(self.blind) and not self.vote

    @property
    def columns(self) -> list[str]:
        """The names in the order of the columns; in a blind comparison a random order."""
        return Random(self.blind).sample(self.names, len(self.names)) if self.blind else self.names

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query."""
        if self.own:
            return {"picture": OWN_PICTURE}
        if self.scene:
            return {"scene": self.scene}
        return {"item": self.item} if self.item else {"q": self.words}

    def link(self) -> str:
        """Return the query string of the address; `g` is the gallery that other pages show."""
        parameters: dict[str, Any] = {**self.query, "g": self.names[0], "m": self.names}
        if self.count != COUNT:
            parameters["k"] = self.count
        parameters |= {name: value for name in ("blind", "vote") if (value := getattr(self, name))}
        return "?" + urlencode(parameters, doseq=True)


def words_of(address: Any) -> str:
    """Return the words of an address, whatever else it asks for."""
    return dict(parse_qsl(str(address).lstrip("?"))).get("q", "")


def parse_request(address: Any, known: Sequence[str], default: Callable[[str], Sequence[str]]) -> Request:
    """Return what an address asks for; it comes from the browser and can be anything.

    Args:
        address: query string with one of `q` (T2I), `item` (I2I for a picture of the gallery), `scene` (I2I
            for the picture of a scene) and `picture` (I2I for the visitor's picture), and with `m` for each
            gallery, `k`, `blind` and `vote`. `g` is the gallery that the visitor chose for all pages; if it
            is not among `m`, these have no effect.
        known: names of all galleries.
        default: returns the names of the galleries that are compared if the address names none, for the
            value of `g`, which can be any text or "".

    Raises:
        QueryError: a parameter is invalid.
    """
    try:
        values = parse_qs(str(address).lstrip("?"), keep_blank_values=True, max_num_fields=30)
    except ValueError as error:
        raise QueryError("This address has too many parameters.") from error
    last = {name: each[-1] for name, each in values.items()}
    seed, vote = last.get("blind", ""), last.get("vote", "")
    if seed and not _SEED.fullmatch(seed):
        raise QueryError(f"blind={seed[:20]}: the seed of a blind comparison is a number of up to 6 digits.")
    chosen, named = last.get("g", ""), values.get("m", [])
    if not named or (chosen and chosen not in named):
        named = list(default(chosen))
    names = check_names(named, known)
    if vote not in ("", "none", *map(str, range(len(names)))):
        raise QueryError(f"vote={vote[:20]}: there is no such column; choose 0 to {len(names) - 1} or none.")
    count = check_count(last.get("k") or COUNT)
    words, item, scene = (last.get(name, "") for name in ("q", "item", "scene"))
    item, scene = "" if words else item, "" if words or item else scene
    own = "picture" in last and not (words or item or scene)
    return Request(words, item, scene, own, names, count, seed, vote if seed else "")


def check_names(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the names of two to six different galleries; raise QueryError for any others."""
    names = list(dict.fromkeys(names))
    for name in names:
        if name not in known:
            raise QueryError(f"No gallery is called {str(name)[:40]!r}. There are: {', '.join(known)}.")
    if len(known) < MODELS[0]:
        raise QueryError(
            "This app has one gallery, so there is nothing to compare. Start it with several models of the "
            "same pictures, such as: pairscope demo GALLERY_A GALLERY_B"
        )
    if len(names) not in MODELS:
        raise QueryError(f"{len(names)} models are selected; choose {MODELS[0]} to {MODELS[-1]}.")
    return names


def check_count(number: Any) -> int:
    """Return the number of pictures per model; raise QueryError if it is out of range or no number."""
    text = str(number)
    count = int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0
    if not 1 <= count <= MOST:
        raise QueryError(f"k={text[:20]}: the number of pictures must be from 1 to {MOST}.")
    return count
