"""Phrases for what a scene may show instead: "at night" -> "during the day", "at sunset"."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from itr_core.picturebook.ontology import ADJECTIVES, COLOURS, KINDS, PLACES, STATES, TIMES, WEATHERS
from itr_core.picturebook.wording import plural

Phrases = Sequence[str]


def alternatives(text: str) -> list[str]:
    """Return the text with its fact replaced by each other value of the same attribute.

    The fact is the longest phrase of the ontology in the text: a time, a weather, a place, a colour, a
    pattern, a size, a state or a kind of thing, whose other values are the kinds of its category.

    Args:
        text: "at night", "in the snow", "a red car" ...

    Returns:
        The other texts, in the order of the ontology; none if the text has no such phrase.

    >>> alternatives("at night")
    ['during the day', 'at sunset']
    """
    found = None
    for concept, phrase in _phrases():
        match = re.search(rf"\b{re.escape(phrase)}\b", text, re.IGNORECASE)
        if match and (found is None or len(phrase) > len(found[2])):
            found = concept, match, phrase
    if found is None:
        return []
    (values, own), match, phrase = found
    position = values[own].index(phrase)
    others = (
        words[position] if len(words) > position else words[0]
        for name, words in values.items()
        if name != own
    )
    return [_with_articles(f"{text[: match.start()]}{other}{text[match.end() :]}") for other in others]


def _with_articles(text: str) -> str:
    return re.sub(r"\b([Aa])n?(?= ([a-z]))", lambda m: m[1] + "n" * (m[2] in "aeiou"), text)


@cache
def _phrases() -> list[tuple[tuple[Mapping[str, Phrases], str], str]]:
    """Return ((words of all values of an attribute, the value), phrase) of each phrase."""
    return [
        ((values, name), phrase)
        for values in _attributes()
        for name, words in values.items()
        for phrase in words
    ]


def _attributes() -> Iterator[Mapping[str, Phrases]]:
    """Yield value -> its words, of each attribute: the most usual, the telegraphic, then the others."""
    settings = (
        {name: each["words"] for name, each in TIMES.items()},
        {name: each["words"] for name, each in WEATHERS.items()},
        {name: place.words for name, place in PLACES.items()},
    )
    yield from (
        {name: (words[0], words[-1], *words[1:-1]) for name, words in each.items()} for each in settings
    )
    for names in (COLOURS, ("striped", "spotted"), ("small", "big")):
        yield {name: ADJECTIVES.get(name, [name]) for name in names}
    yield {name: [word for words in forms.values() for word in words] for name, forms in STATES.items()}
    categories: dict[str, dict[str, Phrases]] = {}
    for kind in KINDS.values():
        words = kind.words
        categories.setdefault(kind.category, {})[kind.name] = (words[0], plural(words[0]), *words[1:])
    yield from categories.values()
