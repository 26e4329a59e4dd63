"""What a text states: the captions' own grammar and that of typed queries, read backwards.

`parse_query` gives the meaning of a text that it understands completely and in one way only, else None: a
word that the world does not have, or a wording with two readings ("dog sleeping cat"), has no known truth.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from itr_core.picturebook.ontology import KINDS
from itr_core.picturebook.phrases import (
    ADJECTIVE,
    BE,
    COMPOUNDS,
    NO,
    NOUN,
    OPENING,
    PLACE_TIME_WEATHER,
    PREPOSITIONS,
    QUANTITY,
    RELATION,
    SEPARATOR,
    SOME,
    STATE,
    TALK,
    VERB,
    WEATHER_ADJECTIVES,
    Noun,
    Quantity,
    Words,
)
from itr_core.picturebook.semantics import ATTRIBUTES, Meaning, Relation, Variable
from itr_core.picturebook.wording import MASS, colour_as, plural

MOST_WORDS = 200
MOST_READINGS = 64
"""Readings of the first words of a text that are followed at the same time."""


class _Mention(NamedTuple):
    """A thing as the text mentions it: "the brown dog" has the word "dog" and is definite."""

    variable: Variable
    word: str
    several: bool
    definite: bool


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the first words of a text state.

    `last` is what the last words mention, as far as the next ones could belong to the same phrase: a "thing",
    a thing that is "related" to another, a thing that is "absent", or, if these are followed by "or", "or".
    """

    things: tuple[_Mention, ...] = ()
    relations: tuple[Relation, ...] = ()
    setting: frozenset[tuple[str, str]] = frozenset()
    last: str = ""

    @property
    def meaning(self) -> Meaning:
        things = tuple(mention.variable for mention in self.things)
        return Meaning(things, self.relations, **dict(self.setting))

    def doing(self, thing: int, state: str) -> "_Reading":
        """Return the reading with the state of one thing."""
        mention = self.things[thing]
        new = mention._replace(variable=replace(mention.variable, state=state))
        return replace(self, things=(*self.things[:thing], new, *self.things[thing + 1 :]))

    def related(self, name: str, a: int, b: int) -> "_Reading":
        """Return the reading with one more relation."""
        return replace(self, relations=(*self.relations, Relation(name, a, b)), last="related")


Readings = Iterator[tuple[_Reading, int]]
"""Readings, and where the words begin that they have not read."""


def parse_query(text: str) -> Meaning | None:
    """Return what a caption or a typed query states; None unless it has exactly one meaning.

    >>> parse_query("2 dogs at the beach") == Meaning((Variable("dog", least=2, most=2),), place="beach")
    True
    >>> parse_query("two unicorns")
    """
    words = _words(text)
    if not 0 < len(words) <= MOST_WORDS:
        return None
    readings: defaultdict[int, set[_Reading]] = defaultdict(set, {0: {_Reading()}})
    for start in range(len(words)):
        here = readings.pop(start, ())
        if len(here) > MOST_READINGS:
            return None
        for reading in here:
            for further, end in _continued(words, start, reading):
                readings[end].add(further)
    meanings = {reading.meaning for reading in readings[len(words)]} - {Meaning()}
    return meanings.pop() if len(meanings) == 1 else None


def _words(text: str) -> Words:
    """Return the words and punctuation marks of a text; empty if it has characters that no caption has."""
    text = unicodedata.normalize("NFKC", text[:10_000]).lower().replace("&", " and ")
    text = re.sub(r"(?<!\S)-(?=\w)", "without ", text)
    text = re.sub(r"(?<=\w)-(?=\w)", " ", text)
    return () if re.search(r"[^a-z0-9\s.,;!?]", text) else tuple(re.findall(r"[a-z0-9]+|[.,;!?]", text))


def _continued(words: Words, start: int, reading: _Reading) -> Readings:
    """Read one more separator, phrase without content, part of the setting, or clause about things."""
    if separator := SEPARATOR.at(words, start):
        kind, end = separator
        if kind == "join":
            yield reading, end
        elif kind == "end":
            yield replace(reading, last=""), end
        elif reading.last == "absent":
            yield replace(reading, last="or"), end
    for phrases in (OPENING, TALK):
        if found := phrases.at(words, start):
            yield replace(reading, last=""), found[1]
    setting, thing = _setting(words, start), _thing(words, start)
    if setting and not (thing and thing[1] > setting[1]) and not _names_thing(words, start, setting[1]):
        facts, end = setting
        stated = reading.setting | facts
        if len(stated) == len({field for field, _ in stated}):
            yield replace(reading, setting=stated, last=""), end
    yield from _inverted_clause(words, start, reading)
    if thing:
        yield from _clause(words, *thing, reading)


def _names_thing(words: Words, start: int, end: int) -> bool:
    """Whether a place with a preposition is part of the name of a thing: "on the kitchen table"."""
    return end - start > 1 and words[start] in PREPOSITIONS and NOUN.at(words, end) is not None


def _setting(words: Words, start: int) -> tuple[frozenset[tuple[str, str]], int] | None:
    """Read a place, a time or a weather: "at night", "on a rainy street"."""
    for at in range(start, min(start + 3, len(words))):
        if weather := WEATHER_ADJECTIVES.get(words[at]):
            found = PLACE_TIME_WEATHER.at(words[start:at] + words[at + 1 :], 0)
            if found and found[1] > at - start and found[0][0] != "weather":
                return frozenset((found[0], ("weather", weather))), start + found[1] + 1
    found = PLACE_TIME_WEATHER.at(words, start)
    return found and (frozenset((found[0],)), found[1])


def _clause(words: Words, mention: _Mention, end: int, reading: _Reading) -> Readings:
    """Read what a thing does and its relation to another one: "a dog is sleeping next to a cat"."""
    if mention.variable.most == 0 or reading.last == "or":
        absent = mention._replace(variable=replace(mention.variable, least=0, most=0))
        yield replace(reading, things=(*reading.things, absent), last="absent"), end
    elif reading.last != "absent" and (resolved := _resolved(reading, mention)):
        # After "absent", the cat of "no dog and cat" may be absent, too.
        yield from _predicate(words, end, *resolved)


def _predicate(words: Words, start: int, reading: _Reading, thing: int) -> Readings:
    """Read the state of a thing and its relation to another one, if it is clear that they are of this thing.

    In "a dog and a cat next to a tree" and in "dog and cat sleeping", they could be of both. In "a dog next
    to a cat and a tree", the tree could be next to the dog, too. None of these is read.
    """
    mention, new = reading.things[thing], thing == len(reading.things) - 1
    for state, verb, end in _doing(words, start):
        clear = reading.last != "thing" or (verb == "one" and not mention.several)
        acting = reading
        if state:
            shared = not clear and (verb or any(_can(each, state) for each in reading.things[:thing]))
            if shared or not new or not _can(mention, state):
                continue
            acting = reading.doing(thing, state)
        place = _setting(words, end)
        if not place and (relation := RELATION.at(words, end)):
            for related, known, further in _related(words, relation, acting, thing):
                if known or clear:
                    yield related, further
        elif state or place if verb else reading.last != "related":
            yield replace(acting, last="thing"), end


def _doing(words: Words, start: int) -> Iterator[tuple[str | None, str, int]]:
    """Yield the state that the next words state, the number of their verb ("" without one), and their end."""
    yield None, "", start
    if state := STATE.at(words, start):
        yield state[0], "", state[1]
    if verb := VERB.at(words, start):
        (name, number), end = verb
        yield name, number, end
    if be := BE.at(words, start):
        number, end = be
        yield None, number, end
        if state := STATE.at(words, end):
            yield state[0], number, state[1]


def _related(
    words: Words, relation: tuple[str, int], reading: _Reading, subject: int
) -> Iterator[tuple[_Reading, bool, int]]:
    """Read the thing that `subject` is in relation to; also yield whether it was mentioned before.

    A state after it is that of the only one of the two that can have it: "cat on a sofa sleeping".
    """
    name, start = relation
    object_ = _thing(words, start)
    if not object_ or object_[0].variable.most == 0 or not (resolved := _resolved(reading, object_[0])):
        return
    (known, thing), end = resolved, object_[1]
    if thing == subject:
        return
    new, related = known is not reading, known.related(name, subject, thing)
    yield related, not new, end
    if new and (state := STATE.at(words, end)):
        able = [each for each in (subject, thing) if _can(related.things[each], state[0])]
        if len(able) == 1:
            yield related.doing(able[0], state[0]), False, state[1]


def _inverted_clause(words: Words, start: int, reading: _Reading) -> Readings:
    """Read a new thing after its relation to a known one: "behind the car is a tree"."""
    relation = RELATION.at(words, start)
    if not relation or (start and not SEPARATOR.at(words, start - 1)) or _setting(words, start):
        return
    name, start = relation
    known = _thing(words, start)
    resolved = known and _resolved(reading, known[0])
    if not known or not resolved or resolved[0] is not reading:
        return
    for state, verb, after in _doing(words, known[1]):
        subject = _thing(words, after) if verb else None
        new = subject and _resolved(reading, subject[0])
        if not subject or not new or new[0] is reading or subject[0].variable.most == 0:
            continue
        both, thing = new
        if not state:
            yield both.related(name, thing, resolved[1]), subject[1]
        elif not subject[0].variable.state:
            yield both.doing(thing, state).related(name, thing, resolved[1]), subject[1]


def _resolved(reading: _Reading, mention: _Mention) -> tuple[_Reading, int] | None:
    """Return the reading with the thing of a mention, and its index; None if it could be two things.

    "The dog" is the only one mentioned before, or a new one if nothing that was mentioned can be a dog.
    """
    if mention.definite:
        same = [index for index, known in enumerate(reading.things) if _refers(mention, known)]
        if len(same) == 1:
            return reading, same[0]
        if any(_overlap(mention.variable, known.variable) for known in reading.things):
            return None
    return replace(reading, things=(*reading.things, mention)), len(reading.things)


def _refers(mention: _Mention, known: _Mention) -> bool:
    if mention.word != known.word or known.variable.most == 0:
        return False
    return (mention.several == known.several or plural(mention.word) == mention.word) and all(
        getattr(mention.variable, name) in (None, getattr(known.variable, name)) for name in ATTRIBUTES
    )


def _overlap(a: Variable, b: Variable) -> bool:
    """Whether a thing could fit both descriptions."""
    return any({a.term, b.term} <= set(kind.is_a) for kind in KINDS.values()) and not any(
        getattr(a, name) and getattr(b, name) and getattr(a, name) != getattr(b, name) for name in ATTRIBUTES
    )


def _can(mention: _Mention, state: str) -> bool:
    """Whether the thing can be in the state, and no state of it is stated."""
    variable = mention.variable
    return not variable.state and any(
        state in kind.states for kind in KINDS.values() if variable.term in kind.is_a
    )


# ---- things


def _thing(words: Words, start: int) -> tuple[_Mention, int] | None:
    """Read a number or an article, adjectives, a noun and what is worn: "2 small boys in striped blue"."""
    quantity, end = QUANTITY.at(words, start) or (None, start)
    definite = not quantity and words[start : start + 1] == ("the",)
    look, end = _adjectives(words, end + definite)
    found = NOUN.at(words, end)
    if look is None or not found or words[found[1] - 1 : found[1] + 1] in COMPOUNDS:
        return None
    noun, end = found
    if (number := _number(noun, quantity)) is None:
        return None
    if noun.term == "cloud" and not look and quantity in (SOME, NO):
        return None  # of the weather or of the things that are drawn
    if forms := colour_as(noun.term):
        if look.keys() & {"colour", "pattern"}:
            return None  # "a red woman"
        worn = _worn(words, end, forms)
        if worn is None or look.keys() & worn[0].keys():
            return None
        look, end = look | worn[0], worn[1]
    least, most, several = number
    variable = Variable(noun.term, **look, least=least, most=most)
    return _Mention(variable, noun.word, several, definite), end


def _number(noun: Noun, quantity: Quantity | None) -> tuple[int, int | None, bool] | None:
    """Return the least and the largest number of things, and whether the noun is in the plural."""
    if noun.term in MASS:
        if quantity == NO:
            return 0, 0, False
        return (1, None, False) if quantity in (None, SOME) else None
    if quantity is None:
        return 1 if noun.singular else 2, None, not noun.singular
    several = not (noun.singular and quantity.singular)
    if several and not (noun.plural and quantity.plural):
        return None
    return quantity.least, quantity.most, several


def _adjectives(
    words: Words, start: int, fields: Collection[str] = ATTRIBUTES
) -> tuple[dict[str, str] | None, int]:
    """Return the attributes that adjectives state, None if two of them state the same one, and their end."""
    look: dict[str, str] = {}
    end = start
    while (found := ADJECTIVE.at(words, end)) and found[0][0] in fields:
        (field, value), end = found
        if field in look:
            return None, end
        look[field] = value
    return look, end


def _worn(words: Words, start: int, forms: Collection[str]) -> tuple[dict[str, str], int] | None:
    """Read the colour and the pattern of what is worn, and a state before it: "walking in red clothes".

    None if the colour could be that of the next word: "man in blue car".
    """
    state = STATE.at(words, start)
    forms = {*forms, *(form.replace(" a ", " ") for form in forms)}
    for form in sorted(forms, key=len, reverse=True):
        before, after = (tuple(part.split()) for part in form.split("{}"))
        for first in (start, state[1]) if state else (start,):
            begin = first + len(before)
            look, end = _adjectives(words, begin, ("pattern", "colour"))
            if look and words[first:begin] == before and words[end : end + len(after)] == after:
                place = PLACE_TIME_WEATHER.at(words, end)
                named = place and place[0][0] == "place" and words[end] not in PREPOSITIONS
                if not after and (named or NOUN.at(words, _adjectives(words, end)[1])):
                    return None
                if state and first > start:
                    look["state"] = state[0]
                return look, end + len(after)
    return {}, start
