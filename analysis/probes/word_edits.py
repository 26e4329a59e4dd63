"""Edits of any caption by swapping words of small lists; nobody has looked whether the picture agrees."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise

import numpy as np

from analysis.lexicon import content, listed, stop_words, values
from itr_core.vocabulary import stem, words_of

_OPPOSITES = {
    "left": "right",
    "above": "below",
    "over": "under",
    "in front of": "behind",
    "inside": "outside",
}
_TURNED = _OPPOSITES | {after: before for before, after in _OPPOSITES.items()}
_RELATION = re.compile(rf"\b({'|'.join(sorted(_TURNED, key=len, reverse=True))})\b", re.IGNORECASE)
_NUMBERS = listed("count")[:4]  # two to five
_ONE = ("a", "an", "one", "some")
# These may well be true of an image, whatever it shows.
_VAGUE = {"person", "people", "guy", "lady", "kid", "child", "group", "crowd", "couple", "family", "body"}
_VAGUE |= {"view", "picture", "background", "place", "area", "middle", "edge", "side", "top", "front", "part"}
_VAGUE |= {"distance", "air", "ground", "lot", "pile", "way"}
_WORD = re.compile(r"[^\W\d_]+")


def word_edits(
    caption: str, rng: np.random.Generator, *, objects: Sequence[str] = (), told: Sequence[str] = ()
) -> list[tuple[str, str, str]]:
    """One edit of each sort that can be made: (sort, caption, edited caption).

    objects: words to put in the place of one of them (see `object_words`).
    told: all captions of the image; what they name is never swapped in.

    The sorts are those of `itr_core.picturebook.edits` and two negations: "negate" denies what comes first,
    "without" compares the caption without something that nobody mentions with the caption without something
    that another caption does.
    """
    named = {root for each in (caption, *told) for root in content(each).things}
    absent = [word for word in objects if stem(word) not in named]
    sorts = {
        "swap attribute": _swapped(caption, ("colour", "pattern", "size")),
        "swap object": _other_objects(caption, frozenset(objects), absent),
        "swap relation": _turned(caption),
        "change count": _swapped(caption, ("count",)),
        "negate": negated(caption),
    }
    edits = []
    for sort, ways in sorts.items():
        if found := list(ways):
            edits.append((sort, caption, found[int(rng.random() * len(found))]))
    own = content(caption).things
    others = {word for each in told for root, word in content(each).things.items() if root not in own}
    if absent and (present := sorted(others & set(objects))):
        start = caption.rstrip(". ")
        missing, there = (words[int(rng.random() * len(words))] for words in (absent, present))
        edits.append(("without", f"{start} without {_any(missing)}", f"{start} without {_any(there)}"))
    return edits


def negated(caption: str) -> Iterator[str]:
    """Deny the first thing of a caption, if it has an article or a number: "a dog runs" -> "no dog runs".

    >>> list(negated("Two brown dogs in a forest")), list(negated("dogs"))
    (['No brown dogs in a forest'], [])
    """
    for match in _WORD.finditer(caption):
        if match[0].lower() in (*_ONE, *_NUMBERS):
            yield _replaced(caption, match, "no")
            return


def compared(before: str, after: str) -> list[tuple[str, str]]:
    """The words of both texts in order, each run as (what became of it, words): "kept", "gone" or "new".

    >>> compared("a red car at night", "a blue car")
    [('kept', 'a'), ('gone', 'red'), ('new', 'blue'), ('kept', 'car'), ('gone', 'at night')]
    """
    old, new = before.split(), after.split()
    runs = []
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            runs.append(("kept", " ".join(new[k:m])))
        else:
            runs += [("gone", " ".join(old[i:j]))] * (i < j) + [("new", " ".join(new[k:m]))] * (k < m)
    return runs


def object_words(captions: Sequence[str], most: int = 200) -> list[str]:
    """What captions call things, commonest first: words that come last after an article or a number.

    "dog" and "lawn" in "a young dog on a lawn": a word counts if that is so at least every other time. It is
    a guess for want of a tagger, and good enough to swap like for like.
    """
    last: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for caption in captions:
        words = [*words_of(caption), "."]
        seen.update(words)
        ends: tuple[str, ...] = ()  # how a word ends that is no longer part of the phrase; (): in no phrase
        for word, following in pairwise(words):
            if word in _ONE:
                ends = (".", "ing", "ed", "s")
            elif word in ("the", *_NUMBERS):
                ends = (".", "ing", "ed")
            elif ends and (following.endswith(ends) or following in stop_words()):
                last[word] += 1
                ends = ()
    known = [
        word
        for word, count in last.most_common()
        if 2 * count >= seen[word] and stem(word) not in values() and word not in (stop_words() | _VAGUE)
    ]
    return known[:most]


def _swapped(caption: str, concepts: Collection[str]) -> Iterator[str]:
    said = {value for value in content(caption).values if value[0] in concepts}
    for match in _WORD.finditer(caption):
        concept, word = values().get(stem(match[0].lower()), ("", ""))
        if concept in concepts and (concept != "count" or word in _NUMBERS):
            for other in _NUMBERS if concept == "count" else listed(concept):
                if (concept, other) not in said:
                    yield _replaced(caption, match, other)


def _other_objects(caption: str, objects: frozenset[str], absent: Sequence[str]) -> Iterator[str]:
    for match in _WORD.finditer(caption):
        word = match[0].lower()
        if word in objects:
            for other in absent:
                if other.endswith("s") == word.endswith("s"):  # one thing for one, several for several
                    yield _replaced(caption, match, other)


def _turned(caption: str) -> Iterator[str]:
    for match in _RELATION.finditer(caption):
        yield _replaced(caption, match, _TURNED[match[0].lower()])


def _replaced(caption: str, match: re.Match[str], word: str) -> str:
    """With `word` for what matched, its capital letter kept and the article before it put right."""
    before = caption[: match.start()]
    if article := re.search(r"\b([Aa])n? $", before):
        before = before[: article.start()] + article[1] + ("n " if word[0] in "aeiou" else " ")
    word = word.capitalize() if match[0][0].isupper() else word
    return before + word + caption[match.end() :]


def _any(word: str) -> str:
    return word if word.endswith("s") else ("an " if word[0] in "aeiou" else "a ") + word
