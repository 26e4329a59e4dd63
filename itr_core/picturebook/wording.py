"""English wording: plurals, articles, lists, and random choices between synonymous phrases."""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import TypeVar

import numpy as np

from itr_core.picturebook.ontology import ADJECTIVES, KINDS, NOUNS, PLURALS, STATES
from itr_core.picturebook.scene import Look

T = TypeVar("T")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
MASS = {"food"}


@cache
def plural(noun: str) -> str:
    """Return the plural of a noun phrase.

    >>> [plural(n) for n in ("slice of watermelon", "butterfly", "bench", "snowman", "sheep")]
    ['slices of watermelon', 'butterflies', 'benches', 'snowmen', 'sheep']
    """
    head, of, rest = noun.partition(" of ")
    if of:
        return plural(head) + of + rest
    for one, many in PLURALS.items():
        if noun == one or noun.endswith(" " + one):
            return noun.removesuffix(one) + many
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


@cache
def colour_as(term: str) -> tuple[str, ...]:
    """Return the phrases for the colour of a term after the noun, such as "in {}"; none for most terms."""
    return next(kind.colour_as for kind in KINDS.values() if term in kind.is_a)


def article(phrase: str) -> str:
    """Add "a" or "an" to a phrase. No word of this world begins with a silent h or a "you" sound."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def listed(phrases: Sequence[str]) -> str:
    """Join as "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(phrases[:-1]), phrases[-1]]))


def sentence(text: str) -> str:
    """Capitalise the first letter and add a full stop."""
    return text[0].upper() + text[1:] + "."


class WordChooser:
    """Chooses words with a random generator; without one, always the most usual word."""

    def __init__(self, rng: np.random.Generator | None = None) -> None:
        self.random: Callable[[], float] = rng.random if rng else lambda: 0.0

    def chance(self, share: float) -> bool:
        """Return True with probability `share`."""
        return self.random() < share

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options with equal probabilities."""
        return options[int(self.random() * len(options))]

    def usual(self, options: Sequence[T]) -> T:
        """Return the first option with probability 0.6, else any option."""
        return options[0] if len(options) == 1 or self.chance(0.6) else self.pick(options)

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in random order."""
        return sorted(items, key=lambda _: self.random())

    def noun(self, term: str, several: bool = False) -> str:
        """Return a word for a term, in the plural if `several`."""
        word = self.usual(NOUNS[term])
        return plural(word) if several else word

    def adjective(self, name: str) -> str:
        """Return a word for an attribute."""
        return self.usual(ADJECTIVES.get(name, (name,)))

    def number(self, count: int) -> str:
        """Return words for a number."""
        return self.usual((NUMBERS[count], "a pair of", "a couple of") if count == 2 else (NUMBERS[count],))

    def described(self, noun: str, look: Look, stated: Collection[str], terse: bool = False) -> str:
        """Return the noun with the `stated` attributes of its look: "big striped ball", "man in blue"."""
        words = [
            self.adjective(getattr(look, name)) for name in ("size", "pattern", "colour") if name in stated
        ]
        after = []
        if look.state and "state" in stated:
            ways = STATES[look.state]
            if "before" in ways and (not terse or self.chance(0.5)):
                words.insert("size" in stated, self.usual(ways["before"]))
            else:
                after.append(self.usual(ways.get("after", ways.get("before", ()))))
        if (forms := colour_as(look.kind)) and (worn := ("pattern" in stated) + ("colour" in stated)):
            if "pattern" in stated:  # "in striped blue" lacks its noun
                forms = tuple(form for form in forms if not form.endswith("{}"))
            if after:  # "sitting wearing blue" has one participle too many
                forms = tuple(form for form in forms if form.startswith(("in ", "with ")))
            after.append((forms[0] if terse else self.pick(forms)).format(" ".join(words[-worn:])))
            words = words[:-worn]
        return " ".join([*words, noun, *after])
