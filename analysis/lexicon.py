"""Word lists, and the content of a caption in terms of them, for galleries without known truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import pairwise
from typing import Any

from itr_core.system.imports import import_lock
from itr_core.vocabulary import english_stop_words, stem, words_of

_LISTS = {
    "colour": "red orange yellow green blue purple/violet pink brown black white grey/gray tan/beige gold",
    "pattern": "striped/stripy spotted/dotted checkered/checked/plaid",
    "size": "small/little/tiny big/large/huge tall short",
    "state": """stand sit/sits/seated lie/lying/lays/laying sleep/asleep run walk jump/leap swim fly
        open closed/shut""",
    "count": "two/pair/2 three/3 four/4 five/5 six/6 seven/7 eight/8 nine/9 ten/10",
    "place": """beach/shore/seaside street/road/city forest/woods field/meadow/grass desert mountains/hills
        farm garden/yard playground harbour/harbor/port sea/ocean kitchen bedroom bathroom""",
    "time": "day/daytime/daylight sunset/dusk/evening night morning/sunrise/dawn",
    "weather": "clear/sunny cloudy/clouds/overcast rain/rainy snow/snowy fog/foggy",
    "relation": "left right above/over below/under/beneath/underneath behind front",
}
"""Concept -> its words; synonyms are joined by slashes. "one" is missing since it is often a pronoun."""
_OPPOSITES = {"left": "right", "above": "below", "behind": "front"}
OPPOSITES = _OPPOSITES | {other: word for word, other in _OPPOSITES.items()}
NEGATIONS = frozenset({"no", "not", "without", "nobody", "nothing", "none"})


@cache
def values() -> Mapping[str, tuple[str, str]]:
    """Return stem of a listed word -> its concept and first synonym: "tini" -> ("size", "small")."""
    return {
        stem(word): (concept, synonyms.split("/")[0])
        for concept, words in _LISTS.items()
        for synonyms in words.split()
        for word in synonyms.split("/")
    }


def listed(concept: str) -> list[str]:
    """Return the words of a concept without synonyms, in the order of the list."""
    return [synonyms.partition("/")[0] for synonyms in _LISTS[concept].split()]


@cache
def stop_words() -> frozenset[str]:
    """Return words without content, such as articles and prepositions, but no negations."""
    return english_stop_words() - NEGATIONS


@dataclass(frozen=True)
class Content:
    """Content of a caption, without the order of words.

    Attributes:
        caption: its text.
        things: stem -> word, of content words in no list.
        values: (concept, first synonym) of the listed words.
    """

    caption: str
    things: Mapping[str, str]
    values: frozenset[tuple[str, str]]

    @cached_property
    def objects(self) -> Mapping[str, str]:
        """Stem -> word, of the things that are heads of noun phrases (`nouns`, which takes the most time)."""
        heads = {stem(word) for word in nouns(self.caption)}
        return {root: word for root, word in self.things.items() if root in heads}

    def says(self, other: "Content") -> bool:
        """Return true if this contains everything that `other` contains."""
        return self.things.keys() >= other.things.keys() and self.values >= other.values


@lru_cache(maxsize=1 << 16)
def content(caption: str) -> Content:
    """Return the content of a caption.

    >>> content("A little dog on the sand").things, content("A little dog").values
    ({'dog': 'dog', 'sand': 'sand'}, frozenset({('size', 'small')}))
    """
    things: dict[str, str] = {}
    found = set()
    for word in words_of(caption):
        root = stem(word)
        if root in values():
            found.add(values()[root])
        elif word not in stop_words() and len(word) > 1:
            things.setdefault(root, word)
    return Content(caption, things, frozenset(found))


@lru_cache(maxsize=1 << 16)
def nouns(caption: str) -> tuple[str, ...]:
    """Return the nouns that end a noun phrase, in lower case: what the caption names, without modifiers.

    The tagger is that of the library pattern as textblob ships it: a lexicon with rules for the context.

    >>> nouns("A smiling tennis player with a whit racket")
    ('player', 'racket')
    """
    tagged = [*_tagger().tag(caption.lower()), ("", "")]
    return tuple(
        word
        for (word, tag), (_, after) in pairwise(tagged)
        if tag.startswith("NN") and not after.startswith("NN")
    )


@cache
def _tagger() -> Any:
    with import_lock:
        from textblob.en.taggers import PatternTagger  # a second to import

        tagger = PatternTagger()
        tagger.tag("dog")  # reads the lexicon; a second thread would use what is read so far
    return tagger
