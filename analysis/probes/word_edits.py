"""Edits of captions by swapping words from lists. The edited captions are taken as false of the image."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from difflib import SequenceMatcher

import numpy as np

from analysis.lexicon import content, listed, nouns, stop_words, values
from itr_core.metrics.sampling import sample_rows
from itr_core.vocabulary import stem, words_of

MOST_CAPTIONS = 20_000
"""Captions in which `object_words` looks for nouns; tagging them takes seconds."""

_OPPOSITES = {
    "left": "right",
    "above": "below",
    "over": "under",
    "in front of": "behind",
    "inside": "outside",
}
_REVERSED = _OPPOSITES | {after: before for before, after in _OPPOSITES.items()}
_RELATION = re.compile(rf"\b({'|'.join(sorted(_REVERSED, key=len, reverse=True))})\b", re.IGNORECASE)
_NUMBERS = listed("count")[:4]  # two to five
_ONE = ("a", "an", "one", "some")
# Words that may be true of any image.
_VAGUE = {"person", "people", "guy", "lady", "kid", "child", "group", "crowd", "couple", "family", "body"}
_VAGUE |= {"view", "picture", "background", "place", "area", "middle", "edge", "side", "top", "front", "part"}
_VAGUE |= {"distance", "air", "ground", "lot", "pile", "way"}
_WORD = re.compile(r"[^\W\d_]+")


def word_edits(
    caption: str, random: np.random.Generator, *, objects: Sequence[str] = (), captions: Sequence[str] = ()
) -> list[tuple[str, str, str]]:
    """Make one edit of each kind that the caption allows.

    The kinds are those of `itr_core.picturebook.edits` and two negations: "negate" denies the first object;
    "without" compares the caption plus "without" and an absent object with the caption plus "without" and an
    object that another caption of the image names.

    Args:
        caption: the caption to edit.
        random: draws one of the possible edits of each kind.
        objects: words that can replace each other (see `object_words`).
        captions: all captions of the image; objects that they name are never swapped in.

    Returns:
        (kind, caption, edited caption) of each edit.
    """
    named = {root for each in (caption, *captions) for root in content(each).things}
    absent = [word for word in objects if stem(word) not in named]
    candidates = {
        "swap attribute": _swapped(caption, ("colour", "pattern", "size")),
        "swap object": _with_other_objects(caption, frozenset(objects), absent),
        "swap relation": _with_reversed_relations(caption),
        "change count": _swapped(caption, ("count",)),
        "negate": negated(caption),
    }
    edits = []
    for kind, edited in candidates.items():
        if found := list(edited):
            edits.append((kind, caption, found[int(random.random() * len(found))]))
    own = content(caption).things
    others = {word for each in captions for root, word in content(each).things.items() if root not in own}
    if absent and (present := sorted(others & set(objects))):
        start = caption.rstrip(". ")
        missing, shown = (words[int(random.random() * len(words))] for words in (absent, present))
        edits.append(
            (
                "without",
                f"{start} without {_with_article(missing)}",
                f"{start} without {_with_article(shown)}",
            )
        )
    return edits


def negated(caption: str) -> Iterator[str]:
    """Yield the caption with its first object denied, if that has an article or a number.

    >>> list(negated("Two brown dogs in a forest")), list(negated("dogs"))
    (['No brown dogs in a forest'], [])
    """
    for match in _WORD.finditer(caption):
        if match[0].lower() in (*_ONE, *_NUMBERS):
            yield _replaced(caption, match, "no")
            return


def word_diff(before: str, after: str) -> list[tuple[str, str]]:
    """Return runs of words as ("kept", "removed" or "added", words), in order.

    >>> word_diff("a red car at night", "a blue car")
    [('kept', 'a'), ('removed', 'red'), ('added', 'blue'), ('kept', 'car'), ('removed', 'at night')]
    """
    old, new = before.split(), after.split()
    runs = []
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            runs.append(("kept", " ".join(new[k:m])))
        else:
            runs += [("removed", " ".join(old[i:j]))] * (i < j) + [("added", " ".join(new[k:m]))] * (k < m)
    return runs


def object_words(captions: Sequence[str], most: int = 200) -> list[str]:
    """Return words for objects, most frequent first: the last words of noun phrases.

    A word counts if `analysis.lexicon.nouns` has at least half of its occurrences: "dog" and "lawn" in "a
    young dog on a lawn".

    Args:
        captions: captions; of more than `MOST_CAPTIONS`, a sample is read.
        most: largest number of words.
    """
    last: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for caption in (captions[row] for row in sample_rows(len(captions), MOST_CAPTIONS)):
        seen.update(words_of(caption))
        last.update(nouns(caption))
    known = [
        word
        for word, count in last.most_common()
        if 2 * count >= seen[word] and stem(word) not in values() and word not in (stop_words() | _VAGUE)
    ]
    return known[:most]


def _swapped(caption: str, concepts: Collection[str]) -> Iterator[str]:
    named = {value for value in content(caption).values if value[0] in concepts}
    for match in _WORD.finditer(caption):
        concept, word = values().get(stem(match[0].lower()), ("", ""))
        if concept in concepts and (concept != "count" or word in _NUMBERS):
            for other in _NUMBERS if concept == "count" else listed(concept):
                if (concept, other) not in named:
                    yield _replaced(caption, match, other)


def _with_other_objects(caption: str, objects: frozenset[str], absent: Sequence[str]) -> Iterator[str]:
    for match in _WORD.finditer(caption):
        word = match[0].lower()
        if word in objects:
            for other in absent:
                if other.endswith("s") == word.endswith("s"):  # singular for singular, plural for plural
                    yield _replaced(caption, match, other)


def _with_reversed_relations(caption: str) -> Iterator[str]:
    for match in _RELATION.finditer(caption):
        yield _replaced(caption, match, _REVERSED[match[0].lower()])


def _replaced(caption: str, match: re.Match[str], word: str) -> str:
    """Replace the match by a word, with its capital letter and a fitting article before it."""
    before = caption[: match.start()]
    if article := re.search(r"\b([Aa])n? $", before):
        before = before[: article.start()] + article[1] + ("n " if word[0] in "aeiou" else " ")
    word = word.capitalize() if match[0][0].isupper() else word
    return before + word + caption[match.end() :]


def _with_article(word: str) -> str:
    return word if word.endswith("s") else ("an " if word[0] in "aeiou" else "a ") + word
