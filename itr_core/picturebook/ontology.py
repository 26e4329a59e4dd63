"""The data of the world, read from ontology.yaml: kinds, places, times, weathers and the words for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import yaml

Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Place:
    """A place of scenes. `bands` maps sky, water, ground, floor to (far, near), as fractions from the top."""

    name: str
    weight: float
    words: tuple[str, ...]
    bands: Mapping[str, tuple[float, float]]
    weathers: Weights
    indoors: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing. `is_a` is its name followed by its hypernyms, nearest first."""

    name: str
    category: str
    is_a: tuple[str, ...]
    words: tuple[str, ...]
    weight: float
    height: float
    bands: tuple[str, ...]
    places: Weights
    colours: Weights = field(default_factory=dict)
    colour_as: tuple[str, ...] = ()
    patterns: Weights = field(default_factory=lambda: {"plain": 1.0})
    states: Weights = field(default_factory=dict)
    herd: float = 0.0
    holds: tuple[str, ...] = ()
    seat: float = 0.0


def _tuples(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


_DATA: dict[str, Any] = yaml.load(
    (files(__package__) / "ontology.yaml").read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
)

COLOURS: dict[str, str] = _DATA["colours"]
SIZES: dict[str, float] = _DATA["sizes"]
TIMES: dict[str, dict[str, Any]] = _DATA["times"]
WEATHERS: dict[str, dict[str, list[str]]] = _DATA["weathers"]
ADJECTIVES: dict[str, list[str]] = _DATA["adjectives"]
STATES: dict[str, dict[str, list[str]]] = _DATA["states"]
RELATIONS: dict[str, list[str]] = _DATA["relations"]
PLURALS: dict[str, str] = _DATA["plurals"]
PLACES: dict[str, Place] = {
    name: Place(name, **_tuples(entry | {"bands": {b: tuple(span) for b, span in entry["bands"].items()}}))
    for name, entry in _DATA["places"].items()
}
KINDS: dict[str, Kind] = {
    name: Kind(
        name,
        is_a=(name, *parents, *_DATA["categories"][entry["category"]]["is_a"]),
        **_tuples(_DATA["categories"][entry["category"]].get("defaults", {}) | entry),
    )
    for name, whole in _DATA["kinds"].items()
    for parents, entry in [(whole["parents"], {k: v for k, v in whole.items() if k != "parents"})]
}
NOUNS: dict[str, tuple[str, ...]] = (
    {term: (term,) for kind in KINDS.values() for term in kind.is_a}
    | {term: tuple(words) for term, words in _DATA["terms"].items()}
    | {k.name: k.words for k in KINDS.values()}
)
"""Every noun, that is, each kind and each hypernym (dog, pet, animal) -> its words, most usual first."""
TRIPLES: tuple[tuple[str, str, str], ...] = tuple(
    (word, "IsA", term) for kind in KINDS.values() for word in kind.words for term in kind.is_a[1:]
) + tuple((word, "Synonym", words[0]) for words in NOUNS.values() for word in words[1:])
"""Relations between nouns for a concept graph: (puppy, IsA, pet), (puppy, Synonym, dog)."""
