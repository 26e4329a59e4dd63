"""The phrases that a text can consist of, with what each of them states: a lexicon made from the ontology."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from itr_core.picturebook.caption_builder import SEEING, SHOWING, SMALL_TALK
from itr_core.picturebook.captions import CLOSINGS
from itr_core.picturebook.ontology import (
    ADJECTIVES,
    COLOURS,
    NOUNS,
    PLACES,
    RELATIONS,
    SIZES,
    STATES,
    TIMES,
    WEATHERS,
)
from itr_core.picturebook.wording import MASS, NUMBERS, plural

T = TypeVar("T")
Words = tuple[str, ...]


class Phrases(Generic[T]):
    """Phrases with their values."""

    def __init__(self, phrases: Iterable[tuple[str, T]]) -> None:
        self.values = {tuple(phrase.replace("-", " ").lower().split()): value for phrase, value in phrases}
        self.longest_phrase = max(map(len, self.values))

    def at(self, words: Words, start: int) -> tuple[T, int] | None:
        """Return the value of the longest phrase that begins at `start`, and where it ends."""
        for end in range(min(len(words), start + self.longest_phrase), start, -1):
            if (value := self.values.get(words[start:end])) is not None:
                return value, end
        return None


class Noun(NamedTuple):
    """A noun: its term, its word in the singular, and the numbers that this form can have."""

    term: str
    word: str
    singular: bool
    plural: bool


class Quantity(NamedTuple):
    """How many: between `least` and `most`, and whether the noun can follow in the singular or the plural."""

    least: int
    most: int | None
    singular: bool
    plural: bool


NO = Quantity(0, 0, True, True)
SOME = Quantity(2, None, False, True)
NUMBER = ("one", "many")
_SEEN = ("", "shown", "seen", "pictured")


def _nouns() -> Iterator[tuple[str, Noun]]:
    for term, words in NOUNS.items():
        for word in dict.fromkeys((term, *words)):
            several = plural(word)
            same = several == word
            yield several, Noun(term, word, singular=same, plural=not same or term not in MASS)
            if not same:
                yield word, Noun(term, word, singular=True, plural=False)


def _quantities() -> Iterator[tuple[str, Quantity]]:
    for number, word in enumerate(NUMBERS[1:], 1):
        yield from (
            (f"{how}{word}", Quantity(number, number, number == 1, number > 1)) for how in ("", "exactly ")
        )
        yield f"at least {word}", Quantity(number, None, number == 1, number > 1)
    # After a digit, people type the noun in either number.
    yield from ((str(number), Quantity(number, number, True, True)) for number in range(1, 21))
    yield from ((phrase, Quantity(2, 2, False, True)) for phrase in ("a pair of", "a couple of"))
    yield from ((phrase, Quantity(1, 1, True, False)) for phrase in ("a single", "only one", "just one"))
    yield from ((phrase, SOME) for phrase in ("some", "a few"))
    yield from ((phrase, Quantity(1, None, True, False)) for phrase in ("a", "an"))
    for phrase in ("no", "without", "without a", "without an", "without any", "without the"):
        yield phrase, NO


def _adjectives() -> Iterator[tuple[str, tuple[str, str]]]:
    fields = {"colour": tuple(COLOURS), "size": tuple(SIZES), "pattern": ("striped", "spotted")}
    for field, names in fields.items():
        for name in names:
            if name != "medium":
                yield from ((word, (field, name)) for word in ADJECTIVES.get(name, (name,)))
    for state, ways in STATES.items():
        yield from ((word, ("state", state)) for word in (state, *ways.get("before", ())))


def _states() -> Iterator[tuple[str, str]]:
    for state, ways in STATES.items():
        yield from ((phrase, state) for phrase in (state, *ways.get("before", ()), *ways.get("after", ())))
    yield from (("asleep", "sleeping"), ("in the sky", "flying"))


def _verbs() -> Iterator[tuple[str, tuple[str, str]]]:
    for state, ways in STATES.items():
        yield from (
            (verb, (state, number)) for verb, number in zip(ways.get("verb", ()), NUMBER, strict=False)
        )


# ---- place, time, weather

_LEADING = re.compile(r"^(?:out )?(?:in|on|at|by|under|with|during|among|while|after)(?: (?:a|an|the))? ")
_NOT_ALONE = {
    "grass", "snow", "dark", "day", "falling snow", "grey clouds", "evening light", "sand by the sea",
    "trees of a wood", "clouds outside the window", "water",
}  # fmt: skip
"""What says nothing of the setting, or something else, without the preposition before it."""
PREPOSITIONS = {"in", "on", "at", "by", "near", "among", "out", "where"}
"""First words of the phrases of places."""
_OTHER = {"place": ("in", "on", "at"), "time": ("at", "in", "during", "by"), "weather": ("in", "under")}


def _setting() -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the phrases of the ontology, and their nouns with other prepositions and articles."""
    values: dict[str, Mapping[str, Iterable[str]]] = {
        "place": {name: place.words for name, place in PLACES.items()},
        "time": {name: time["words"] for name, time in TIMES.items()},
        "weather": {name: (*ways["words"], *ways["indoors"]) for name, ways in WEATHERS.items()},
    }
    for field, phrases in values.items():
        for value, words in phrases.items():
            yield from ((phrase, (field, value)) for phrase in words)
            nouns = {noun for phrase in words if (noun := _LEADING.sub("", phrase)) not in _NOT_ALONE}
            for noun in nouns:
                before = [f"{word}{the} " for word in _OTHER[field] for the in ("", " a", " an", " the")]
                if field == "place":
                    before += ["a ", "an ", "the "]
                yield from ((f"{each}{noun}", (field, value)) for each in ["", *before])
    yield from ((phrase, ("time", "day")) for phrase in ("day", "in the day", "at day"))
    for phrase in ("raining", "it is raining", "rainy"):
        yield phrase, ("weather", "rain")
    yield from ((phrase, ("weather", "snow")) for phrase in ("snowing", "it is snowing"))
    yield from ((phrase, ("weather", "cloudy")) for phrase in ("cloudy", "overcast"))


NOUN = Phrases(_nouns())
QUANTITY = Phrases(_quantities())
ADJECTIVE = Phrases(_adjectives())
STATE = Phrases(_states())
VERB = Phrases(_verbs())
RELATION = Phrases((phrase, name) for name, phrases in RELATIONS.items() for phrase in phrases)
PLACE_TIME_WEATHER = Phrases(_setting())

OPENING = Phrases(
    (phrase, True)
    for phrase in (
        *SEEING, *SHOWING, *(closing.format("") for closing in CLOSINGS),
        "there is", "there are", "there is also", "there are also", "show me", "find", "image with",
        *(f"{an}{what} of" for an in ("", "a ", "an ") for what in ("picture", "photo", "image", "drawing")),
    )
)  # fmt: skip
TALK = Phrases((phrase, True) for phrase in SMALL_TALK)
SEPARATOR = Phrases(
    (
        *((mark, "end") for mark in ".;!?"),
        *((word, "join") for word in (",", "and", "with", "plus")),
        ("or", "or"),
    )
)
BE = Phrases(
    (
        *((f"{be} {seen}", n) for be, n in zip(("is", "are"), NUMBER, strict=True) for seen in _SEEN),
        ("can be seen", "any"),
    )
)
"""Forms of "to be", with the number of the things that they are said of."""
WEATHER_ADJECTIVES = {"rainy": "rain", "snowy": "snow", "cloudy": "cloudy", "overcast": "cloudy"}
"""Adjectives of a place or a time that say what the weather is."""
COMPOUNDS = {
    ("apple", "tree"), ("banana", "tree"), ("tree", "house"), ("dog", "house"), ("bird", "house"),
    ("boat", "house"), ("flower", "bed"), ("dog", "bed"), ("cat", "bed"), ("fruit", "cake"),
    ("apple", "cake"), ("banana", "cake"), ("banana", "bread"), ("fruit", "tree"), ("toy", "car"),
    ("toy", "boat"), ("toy", "truck"), ("toy", "tractor"), ("toy", "plane"), ("toy", "rocket"),
    ("car", "seat"), ("child", "seat"), ("person", "car"), ("fish", "boat"), ("chicken", "house"),
    ("animal", "balloon"), ("animal", "book"), ("balloon", "animal"), ("seat", "table"),
}  # fmt: skip
"""Two nouns that together name a third thing, which this world does not have."""

VOCABULARY = frozenset(
    word
    for phrases in (
        NOUN,
        QUANTITY,
        ADJECTIVE,
        STATE,
        VERB,
        RELATION,
        PLACE_TIME_WEATHER,
        OPENING,
        TALK,
        SEPARATOR,
        BE,
    )
    for phrase in phrases.values
    for word in phrase
)
"""All words of the phrases."""
